"""What every index takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Index(Protocol):
    """Unit vectors float32 (n, dim) → neighbours. `keep` is a mask (n,) of the rows that may be answered."""

    def add(self, X: NDArray[np.float32]) -> None: ...

    def search(self, Q: NDArray[np.float32], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Neighbors]: ...
