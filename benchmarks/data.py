"""Where the measurements find pictures: data sets on this machine, else the bundled sample, which is said."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

DATA = Path(os.environ.get("ENGINE_DATA", "data"))
SAMPLE = Path(__file__).parents[1] / "engine" / "sample"


@dataclass(frozen=True)
class Dataset:
    """A source of pictures. `note` says when it is not the data set one would expect."""

    name: str
    source: Path
    labels: Path | None = None
    note: str | None = None

    def classes(self) -> dict[str, str]:
        """Return the label of each image name."""
        if self.labels is None:
            return {}
        with self.labels.open(newline="") as file:
            return {row["image"]: row["label"] for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Datasets:
    """The data sets under a folder."""

    folder: Path

    def caltech101(self) -> Dataset:
        """Return Caltech-101 as a tar with labels, or the bundled sample of it."""
        tar = self.folder / "caltech101" / "images.tar"
        if tar.is_file():
            return Dataset("caltech101", tar, tar.with_name("labels.csv"))
        return Dataset(
            "sample", SAMPLE / "images.tar", SAMPLE / "labels.csv", f"{tar} is not there: the bundled 340 photos"
        )

    def cifar10(self) -> Dataset | None:
        """Return CIFAR-10 as a tar of JPEG files, or None."""
        tar = self.folder / "cifar10" / "cifar10.tar"
        return Dataset("cifar10", tar, note="re-encoded as JPEG") if tar.is_file() else None
