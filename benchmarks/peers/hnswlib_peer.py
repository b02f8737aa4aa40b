"""hnswlib, the library of the authors of HNSW (https://arxiv.org/abs/1603.09320)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Positions, Vectors


class HnswlibPeer:
    """A graph of layers over float32 vectors, inner product."""

    params: dict[str, Any] = {"M": 16, "ef_construction": 200}  # noqa: RUF012

    def __init__(self) -> None:
        import hnswlib

        self._make = hnswlib.Index

    def build(self, X: Vectors, folder: Path) -> None:
        self._open(X, folder)
        self._index.init_index(len(X), random_seed=0, **self.params)
        self._index.set_num_threads(1)
        self._index.add_items(X)

    def save(self) -> int:
        self._index.save_index(str(self._file))
        return self._file.stat().st_size

    def load(self, X: Vectors, folder: Path) -> None:
        self._open(X, folder)
        self._index.load_index(str(self._file))
        self._index.set_num_threads(1)

    def _open(self, X: Vectors, folder: Path) -> None:
        self._index = self._make(space="ip", dim=X.shape[1])
        self._rows, self._file = len(X), folder / "hnswlib.index"

    def efforts(self) -> Sequence[Effort]:
        return [10, 20, 40, 80, 160, 320, 640, 1280, 2560]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        return self.query_batch(q[None], k, effort)[0]

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        k = min(k, self._rows)
        self._index.set_ef(max(k, effort or k))
        labels, _ = self._index.knn_query(Q, k)
        return list(labels.astype(np.int64))
