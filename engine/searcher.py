"""Who answers: the exact scan, or an index whose recall was measured where it applies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.store import VectorCache
from indexers.base import Neighbors
from indexers.exact import ExactIndex


class Searcher:
    """Answers queries over one space's vectors; positions are rows of `vectors`."""

    def __init__(self, vectors: VectorCache) -> None:
        self.vectors = vectors
        self._exact = ExactIndex(vectors.matrix)

    def search(self, Q: NDArray[np.float32], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Neighbors]:
        """Return the min(k, rows kept) best rows for each unit query of `Q` (q, dim)."""
        return self._exact.search(Q, k, keep=keep)

    def range_search(
        self, Q: NDArray[np.float32], threshold: float, *, keep: NDArray[np.bool_] | None = None
    ) -> list[Neighbors]:
        """Return every row with `score >= threshold` for each unit query of `Q` (q, dim)."""
        return self._exact.range_search(Q, threshold, keep=keep)

    def evidence(self, k: int | None) -> dict[str, Any]:
        """Return what an answer of `k` rows comes from (None: by threshold): `kind`, and the `recall` measured."""
        return {"kind": "exact", "recall": 1.0}
