"""Some rows of a matrix, in another order, without a copy of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Selected:
    """Row i is row `places[i]` of `matrix` (n, dim); only what is asked for is copied."""

    matrix: NDArray[np.float32]
    places: NDArray[np.int64]

    ndim = 2
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.places), self.matrix.shape[1]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        return self.matrix[self.places[rows]]
