"""Caltech-101 (Li, Andreeto, Ranzato & Perona, 2004; CC BY 4.0): 9,144 photos and drawings of 101 objects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from benchmarks.datasets.base import Found, Place, Unavailable
from benchmarks.datasets.download import Remote, local
from benchmarks.datasets.label_files import TRUTH
from engine.sources import open_source

# Images that belong to no class, and a class whose people another one shows as well.
LEFT_OUT = ("BACKGROUND_Google", "Faces_easy")
INNER = "101_ObjectCategories.tar.gz"


class Caltech101:
    """100 classes and no splits: `images.tar` with `labels.csv`, or the folders that were published."""

    remote = Remote(
        "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip", "md5:3138e1922a9193bfa496528edbbc45d0"
    )

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, place: Place) -> Found:
        """Return the pictures, as JPEG files as they were published."""
        folder = place.data / self.name
        tar, labels = folder / "images.tar", folder / "labels.csv"
        if tar.is_file() and labels.is_file():
            _list(tar)
            return Found(self.name, self.name, [tar], {TRUTH: labels}, left_out=LEFT_OUT)
        for pictures in (folder / "101_ObjectCategories", folder / INNER):
            if pictures.exists():
                _list(pictures)
                return Found(self.name, self.name, [pictures], left_out=LEFT_OUT)
        if not place.download:
            raise Unavailable(
                f"Caltech-101 is not in {folder}",
                f"add --download, or put {INNER}, or images.tar with labels.csv (image,label), there",
            )
        return Found(self.name, self.name, [_inner(local(self.remote, folder, place))], left_out=LEFT_OUT)


def _list(pictures: Path) -> None:
    """Raise `SourceError` or `SourceCut` where the pictures are no source, or end before their end."""
    for _ in open_source(pictures).names():
        pass


def _inner(archive: Path) -> Path:
    """Take the archive of pictures out of the one that is published."""
    target = archive.with_name(INNER)
    part = target.with_name(f".{INNER}.{os.getpid()}.tmp")
    try:
        with ZipFile(archive) as opened, part.open("wb") as file:
            name = next(one for one in opened.namelist() if Path(one).name == INNER)
            with opened.open(name) as inner:
                shutil.copyfileobj(inner, file)
        os.replace(part, target)
    except (BadZipFile, StopIteration, OSError) as error:
        raise Unavailable(f"{archive} does not hold {INNER}: {error}", "delete it, then --download") from error
    finally:
        part.unlink(missing_ok=True)
    return target
