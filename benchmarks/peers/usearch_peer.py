"""USearch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Positions, Vectors


class USearchPeer:
    """A graph of layers over vectors at half precision, inner product."""

    params: dict[str, Any] = {"connectivity": 16, "expansion_add": 128, "dtype": "f16"}  # noqa: RUF012

    def __init__(self) -> None:
        from usearch.index import Index

        self._make = Index

    def build(self, X: Vectors, folder: Path) -> None:
        self._open(X, folder)
        self._index.add(np.arange(len(X)), X, threads=1)

    def save(self) -> int:
        self._index.save(str(self._file))
        return self._file.stat().st_size

    def load(self, X: Vectors, folder: Path) -> None:
        self._open(X, folder)
        self._index.load(str(self._file))

    def _open(self, X: Vectors, folder: Path) -> None:
        self._index: Any = self._make(ndim=X.shape[1], metric="ip", **self.params)
        self._file = folder / "usearch.index"

    def efforts(self) -> Sequence[Effort]:
        return [10, 20, 40, 80, 160, 320, 640, 1280, 2560]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        self._index.expansion_search = max(k, effort or k)
        found: Positions = self._index.search(q, k, threads=1).keys.astype(np.int64)
        return found

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        self._index.expansion_search = max(k, effort or k)
        found = self._index.search(Q, k, threads=1)
        return [keys[:count].astype(np.int64) for keys, count in zip(found.keys, found.counts, strict=True)]
