"""scikit-learn's brute-force NearestNeighbors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.base import Effort, Positions, Vectors


class SklearnPeer:
    """Every row is compared, by Euclidean distance: its order of unit vectors is that of the cosine."""

    params: dict[str, Any] = {"algorithm": "brute", "metric": "euclidean"}  # noqa: RUF012

    def __init__(self) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._index = NearestNeighbors(algorithm="brute", metric="euclidean", n_jobs=1)

    def build(self, X: Vectors, folder: Path) -> None:
        self._rows, self._bytes = len(X), X.nbytes
        self._index.fit(X)

    load = build

    def save(self) -> int:
        return self._bytes

    def efforts(self) -> Sequence[Effort]:
        return [None]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        return self.query_batch(q[None], k, effort)[0]

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        found: Positions = self._index.kneighbors(Q, min(k, self._rows), return_distance=False)
        return list(found)
