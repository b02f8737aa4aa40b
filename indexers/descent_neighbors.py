"""Neighbours by NN-descent: neighbours of neighbours are likely neighbours (Dong, Moses and Li, WWW 2011)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Candidates beyond k: the descent finds the last of its own list least surely.
SPARE = 5


class DescentNeighbors:
    """Proposes the neighbours that pynndescent finds; all are found at once, when it is made."""

    def __init__(self, X: NDArray[np.float32], k: int, *, seed: int = 0) -> None:
        from pynndescent import NNDescent

        wanted = min(k + SPARE, len(X))
        self.params: dict[str, Any] = {"n_neighbors": wanted}
        with warnings.catch_warnings():
            # Rows for which it finds too few are compared with every other.
            warnings.filterwarnings("ignore", message="Failed to correctly find")
            # Unit vectors have the same order by Euclidean distance, for which it makes no copy of them.
            index = NNDescent(np.asarray(X[:]), metric="euclidean", n_neighbors=wanted, random_state=seed)
        self._found: NDArray[np.int32] = index.neighbor_graph[0]

    def propose(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return int64 (m, min(k + 5, n)), −1 where too few were found."""
        return self._found[rows].astype(np.int64)
