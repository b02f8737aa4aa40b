"""Five subsets of CIFAR-100 of ten classes each, listed in cifar100_subsets.json with where they were defined."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.datasets.base import Found, Place
from benchmarks.datasets.cifar100 import Cifar100

SUBSETS = Path(__file__).with_name("cifar100_subsets.json")


class Cifar100Subset(Cifar100):
    """`cifar100-N`: the store of CIFAR-100, of which only the classes of subset N count."""

    @property
    def collection(self) -> str:
        return "cifar100"

    def find(self, place: Place) -> Found:
        """Return CIFAR-100 with the classes that are kept."""
        return replace(super().find(place), kept=json.loads(SUBSETS.read_text())["subsets"][self.name])
