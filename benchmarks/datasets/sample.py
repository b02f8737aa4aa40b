"""The 340 photos of Caltech-101 that come with this project."""

from __future__ import annotations

from pathlib import Path

from benchmarks.datasets.base import Found, Place
from benchmarks.datasets.caltech101 import LEFT_OUT
from benchmarks.datasets.label_files import TRUTH

SAMPLE = Path(__file__).parents[2] / "engine" / "sample"


class Sample:
    """There without a download; no splits. Its figures say that something works, and no more."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, place: Place) -> Found:
        """Return the bundled photos."""
        return Found(self.name, self.name, [SAMPLE / "images.tar"], {TRUTH: SAMPLE / "labels.csv"}, left_out=LEFT_OUT)
