"""CIFAR (Krizhevsky 2009): the binary archive, read without unpickling anything, or a tar or folder of pictures."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.base import AS_PUBLISHED, REENCODED, Found, Place, Unavailable
from benchmarks.datasets.digests import known_digest
from benchmarks.datasets.download import BLOCK, Remote, local
from benchmarks.datasets.label_files import label_files
from benchmarks.datasets.pack import pack
from engine.sources import open_source

SIDE = 32
PIXELS = 3 * SIDE * SIDE
JPEG = (".jpg", ".jpeg")
AS_FOUND = "as found: not the archive that was published"


class CifarDataset:
    """A member writes `title`, `remote`, `splits` (split → its files), `names` (the file of class names), `codes`.

    `codes` is how many label bytes a record has; the last one is the class.
    """

    title: str
    remote: Remote
    splits: dict[str, tuple[str, ...]]
    names: str
    codes: int

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def collection(self) -> str:
        return self.name

    def find(self, place: Place) -> Found:
        """Return the published pixels as PNG files, or pictures that somebody made of them."""
        folder = place.data / self.collection
        pictures = _pictures(folder, self.collection)
        if (folder / self.remote.name).is_file() or (place.download and pictures is None):
            return self._unpacked(local(self.remote, folder, place), place)
        if pictures is not None:
            return self._found(pictures, _encoding(pictures), place)
        if pickled := sorted(folder.glob("cifar-*-python*")) + sorted(folder.glob("cifar-*-py")):
            raise Unavailable(
                f"{pickled[0]} is pickled, and reading a pickle runs what is in it",
                f"bring the binary version, {self.remote.name}: --download",
            )
        raise Unavailable(
            f"{self.title} is not in {folder}",
            f"add --download, or put {self.remote.name}, {self.collection}.tar or the folders train and test there",
        )

    def _unpacked(self, archive: Path, place: Place) -> Found:
        kind, _, published = self.remote.digest.partition(":")
        found = known_digest(archive, kind, place).partition(":")[2]
        tar = place.scratch / f"{self.collection}-{found[:12]}.tar"
        if not tar.is_file():
            # Seven digits are seconds that every file system can keep.
            pack(self.read(archive), tar, stamp=int(found[:7], 16))
        origin = AS_PUBLISHED if found == published else AS_FOUND
        return self._found(tar, f"{origin}, kept as PNG", place)

    def _found(self, pictures: Path, pixels: str, place: Place) -> Found:
        # From the names, because `train` is a split and a class of CIFAR-100.
        names = (PurePosixPath(name) for _, name in open_source(pictures).names())
        rows = ((str(name), name.parts[-2], name.parts[-3]) for name in names if len(name.parts) > 2)
        labels = label_files(rows, place.scratch, self.collection)
        return Found(self.name, self.collection, [pictures], labels, pixels)

    def read(self, archive: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield ("split/class/number.png", pixels (32, 32, 3)) of each record; raise `Unavailable` if it is damaged."""
        try:
            with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
                files = {Path(one.name).name: one for one in opened.getmembers() if one.isfile()}
                classes = _classes(_bytes(opened, files, self.names))
                for split, parts in self.splits.items():
                    data = b"".join(_whole(_bytes(opened, files, part), part, self.codes + PIXELS) for part in parts)
                    yield from _records(data, classes, self.codes, split)
                # `tarfile` stops at its own end mark; the check sum comes after it.
                while stream.read(BLOCK):
                    pass
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
            raise Unavailable(
                f"{archive} is not {self.title}'s binary archive: {' '.join(str(error).split())}",
                "fetch it again: delete it, --download",
            ) from error


def _bytes(archive: tarfile.TarFile, files: Mapping[str, tarfile.TarInfo], name: str) -> bytes:
    file = archive.extractfile(files[name]) if name in files else None
    if file is None:
        raise ValueError(f"it holds no {name}")
    return file.read()


def _whole(data: bytes, name: str, size: int) -> bytes:
    if not data or len(data) % size:
        raise ValueError(f"{name} has {len(data)} bytes, and a record {size}")
    return data


def _classes(data: bytes) -> list[str]:
    """Return the names of the classes, each fit to be a part of a path; raise `ValueError`."""
    names = data.decode().split()
    unfit = [name for name in names if "/" in name or name in (".", "..") or not name.isprintable()]
    if unfit:
        raise ValueError(f"a class cannot be called {unfit[0][:40]!r}")
    return names


def _records(data: bytes, classes: list[str], codes: int, split: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    rows = np.frombuffer(data, np.uint8).reshape(-1, codes + PIXELS)
    if (highest := int(rows[:, codes - 1].max())) >= len(classes):
        raise ValueError(f"a record of the {split} split is of class {highest}, and it names {len(classes)}, from 0")
    for number, row in enumerate(rows):
        pixels = row[codes:].reshape(3, SIDE, SIDE).transpose(1, 2, 0)
        yield f"{split}/{classes[row[codes - 1]]}/{number}.png", np.ascontiguousarray(pixels)


def _pictures(folder: Path, name: str) -> Path | None:
    tar = folder / f"{name}.tar"
    if tar.is_file():
        return tar
    return folder if (folder / "train").is_dir() and (folder / "test").is_dir() else None


def _encoding(pictures: Path) -> str:
    """Return how the pictures are encoded, by their first name; raise `Unavailable` if there is none."""
    first = next((name for _, name in open_source(pictures).names()), None)
    if first is None:
        raise Unavailable(f"{pictures} holds no pictures", "put train/CLASS and test/CLASS with pictures there")
    return REENCODED if first.lower().endswith(JPEG) else f"{AS_PUBLISHED}, if {Path(first).suffix} lost nothing"
