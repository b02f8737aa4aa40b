"""Data sets of four IDX files: pictures and labels of a training and a test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.datasets.base import Found, Place, Unavailable
from benchmarks.datasets.download import Remote, local
from benchmarks.datasets.label_files import label_files
from engine.sources import read_idx_labels

SPLITS = {"train": "train", "t10k": "test"}
FILES = tuple(f"{split}-{kind}-ubyte" for split in SPLITS for kind in ("images-idx3", "labels-idx1"))


class IdxDataset:
    """A member writes `title`, `classes`, `remotes` (the four of `FILES`, compressed) and, if any, `folders`."""

    title: str
    classes: Sequence[str]
    remotes: Sequence[Remote]
    folders: Sequence[Path] = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, place: Place) -> Found:
        """Return the pictures of both splits, with labels files written for them."""
        own = place.data / self.name
        for folder in (own, *self.folders):
            files = [_plain_or_compressed(folder / name) for name in FILES]
            if all(files):
                return self._found([one for one in files if one], place)
        if not place.download:
            raise Unavailable(f"{self.title} is not in {own}", self._remedy())
        return self._found([local(remote, own, place) for remote in self.remotes], place)

    def _remedy(self) -> str:
        packaged = f" or install the package that fills {self.folders[0]}," if self.folders else ""
        return f"add --download,{packaged} or put {', '.join(one.name for one in self.remotes)} there"

    def _found(self, files: Sequence[Path], place: Place) -> Found:
        parts = zip(SPLITS.values(), files[::2], files[1::2], strict=True)
        rows = (row for split, pictures, codes in parts for row in self._rows(split, pictures, codes))
        return Found(self.name, self.name, files[::2], label_files(rows, place.scratch, self.name))

    def _rows(self, split: str, pictures: Path, codes: Path) -> Iterator[tuple[str, str, str]]:
        stem = pictures.name.removesuffix(".gz")
        for ordinal, code in enumerate(read_idx_labels(codes)):
            yield f"{stem}/{ordinal}", self.classes[code], split


def _plain_or_compressed(path: Path) -> Path | None:
    return next((one for one in (path.with_name(path.name + ".gz"), path) if one.is_file()), None)
