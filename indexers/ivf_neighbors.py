"""Neighbours by inverted lists: each row is compared with the rows of the cells nearest to it (FAISS)."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Rows that train one cell, as FAISS advises at least 39.
TRAIN = 64
ITERATIONS = 10
PROBES = 16
# What the codes of all rows may take.
CODE_BYTES = 2 * 2**30
BLOCK_ROWS = 65536


class IVFNeighbors:
    """Proposes 2 (k + 1) rows by scores of 8 bits a dimension, or a product quantiser where those do not fit.

    Trained on a seeded sample, filled and searched in blocks: never more than the codes is in memory.
    """

    def __init__(self, X: NDArray[np.float32], k: int, *, seed: int = 0) -> None:
        import faiss

        n, dim = X.shape
        lists = int(2 ** round(np.log2(2 * np.sqrt(n))))
        lists = max(1, min(lists, n // 39))
        codes = "SQ8" if n * dim <= CODE_BYTES else f"PQ{_parts(n, dim)}"
        self.params: dict[str, Any] = {"lists": lists, "probes": min(PROBES, lists), "codes": codes}
        self._X = X
        self._wanted = min(2 * (k + 1), n)
        # Which class comes out depends on the text.
        self._index = cast(Any, faiss.index_factory(dim, f"IVF{lists},{codes}", faiss.METRIC_INNER_PRODUCT))
        self._index.nprobe = self.params["probes"]
        clustering = self._index.cp
        clustering.seed, clustering.niter, clustering.spherical = seed + 1, ITERATIONS, True
        clustering.min_points_per_centroid, clustering.max_points_per_centroid = 1, TRAIN
        if codes != "SQ8":
            self._index.pq.cp.niter = ITERATIONS
        sample = np.sort(np.random.default_rng(seed).permutation(n)[: max(TRAIN * lists, 1024)])
        self._index.train(np.ascontiguousarray(X[sample], np.float32))
        for start in range(0, n, BLOCK_ROWS):
            self._index.add(np.ascontiguousarray(X[start : start + BLOCK_ROWS], np.float32))

    def propose(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return int64 (m, 2 (k + 1)), −1 where the cells that were looked into hold fewer."""
        _, found = self._index.search(np.ascontiguousarray(self._X[rows], np.float32), self._wanted)
        return found


def _parts(n: int, dim: int) -> int:
    """Return into how many sub-vectors of a byte each a row is cut so that the codes fit."""
    return max([parts for parts in range(1, dim + 1) if dim % parts == 0 and n * parts <= CODE_BYTES], default=1)
