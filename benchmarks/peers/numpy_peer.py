"""NumPy: a matrix product and a partial sort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Positions, Vectors

# The scores of a batch are held at once: 64 queries over a million rows are 256 MB.
BATCH = 64


class NumPyPeer:
    """Every row is compared."""

    params: dict[str, Any] = {}  # noqa: RUF012

    def build(self, X: Vectors, folder: Path) -> None:
        self._X = np.ascontiguousarray(X)

    load = build

    def save(self) -> int:
        return self._X.nbytes

    def efforts(self) -> Sequence[Effort]:
        return [None]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        scores = self._X @ q
        k = min(k, len(scores))
        best = np.argpartition(-scores, k - 1)[:k]
        return best[np.argsort(-scores[best], kind="stable")]

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        found: list[Positions] = []
        for start in range(0, len(Q), BATCH):
            scores = -(Q[start : start + BATCH] @ self._X.T)
            best: Positions = np.argpartition(scores, min(k, scores.shape[1]) - 1, axis=1)[:, :k]
            rows = np.arange(len(best))[:, None]
            found.extend(best[rows, np.argsort(scores[rows, best], axis=1, kind="stable")])
        return found
