"""What every index takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Neighbors:
    """The answer to one query, best first: `positions` int64 (k,) in the order of `add`, `scores` float64 (k,).

    Scores are cosines of unit vectors, higher is closer.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.positions)


class Matrix(Protocol):
    """Float32 unit rows (n, dim): an array, a memory map, or a view that computes the rows it is asked for."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


class Index(Protocol):
    """Unit vectors float32 (n, dim) → neighbours. What was added is kept by reference and must not change.

    `keep` is a mask (n,) of the rows that may be answered. `effort` is how far an approximate member looks; `efforts()`
    is the ladder it may be tuned on, empty for a member that has nothing to tune.
    """

    def add(self, X: Matrix) -> None: ...

    def search(
        self, Q: NDArray[np.float32], k: int, *, keep: NDArray[np.bool_] | None = None, effort: int | None = None
    ) -> list[Neighbors]: ...

    def efforts(self) -> tuple[int, ...]: ...

    def save(self, path: str | PathLike[str]) -> None: ...

    @classmethod
    def load(cls, path: str | PathLike[str], X: Matrix) -> Self: ...
