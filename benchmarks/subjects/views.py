"""A subject in a space: vectors of its images, in its order, there when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects.subject import Subject
from engine.progress import Progress

Kind = TypeVar("Kind", bound=np.generic)


class Matrix(Protocol):
    """Rows that can be picked."""

    def __getitem__(self, rows: Any, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Placed:
    """The rows of a matrix in another order."""

    matrix: Matrix
    places: NDArray[np.int64]

    def __getitem__(self, rows: Any, /) -> NDArray[np.float32]:
        return self.matrix[self.places[rows]]


@dataclass(frozen=True)
class How:
    """Whether little is enough where a space is learnt, and who hears of it."""

    progress: Progress
    quick: bool = False


@dataclass(frozen=True)
class View:
    """A subject in one space. `load` gives unit rows, float32 (n, dim) in the subject's order, when they are needed.

    `note` is what its rows have to say of the space.
    """

    subject: Subject
    space: str
    fingerprint: str
    load: Callable[[], Matrix]
    note: str | None = None

    @cached_property
    def _matrix(self) -> Matrix:
        return self.load()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of rows of the subject, float32 (len(rows), dim)."""
        return np.asarray(self._matrix[rows])

    def facts(self) -> dict[str, Any]:
        """Return what a row says of data and space."""
        return {
            "data": self.subject.data,
            "split": self.subject.split,
            "space": self.space,
            "fingerprint": self.fingerprint,
            "pixels": self.subject.found.pixels,
            "store_version": self.subject.store.versions(),
            "note": self.note,
        }


def digest(text: str) -> str:
    """Return a fingerprint of what vectors are made by."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def kept(path: Path, make: Callable[[], NDArray[Kind]]) -> NDArray[Kind]:
    """Return the array in a file, mapped; it is made if it is not there."""
    if not path.exists():
        made = make()
        scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with scratch.open("wb") as file:
            np.save(file, made)
        os.replace(scratch, path)
    found: NDArray[Kind] = np.load(path, mmap_mode="r")
    return np.asarray(found)
