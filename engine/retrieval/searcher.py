"""Who answers: the exact scan, or an index whose recall was measured where it applies."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.fused import identity_of, matrix_of
from engine.retrieval import kept_index
from engine.retrieval.kept_index import KeptIndex
from engine.store import Space, Store, VectorCache
from indexers import Neighbors
from indexers.base import Matrix
from indexers.exact import ExactIndex

# FAISS takes as long to import as NumPy takes for this many queries more.
SEVERAL = 2
# An index is asked only as it was measured: with nearly all rows allowed.
LEAST_KEPT = 0.95
# What was mapped into memory once stays so for the queries that follow, for so many spaces.
MOST_OPENED = 4
_opened: OrderedDict[tuple[Any, ...], Searcher] = OrderedDict()


class Scan:
    """Compares every row of a matrix: by NumPy for a single query, by FAISS once there have been several."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._asked = 0

    def index(self, queries: int) -> Any:
        """Return the index that suits so many queries more."""
        self._asked += queries
        # FAISS knows arrays only; a fused matrix is computed.
        plain = isinstance(self._matrix, np.ndarray)
        return self._flat if plain and self._asked >= SEVERAL else self._exact

    @cached_property
    def _exact(self) -> ExactIndex:
        return ExactIndex(self._matrix)

    @cached_property
    def _flat(self) -> Any:
        from indexers.flat import FlatIndex

        return FlatIndex(self._matrix)


class Searcher:
    """Answers queries over one space's vectors; positions are rows of `vectors`.

    An index answers for as many hits as its recall was measured for. Rows that it does not hold are compared one by
    one, so nothing is missed that came after it; everything else (more hits, a threshold, a narrow `keep`) is exact.
    """

    def __init__(self, vectors: VectorCache, kept: KeptIndex | None = None) -> None:
        self.vectors = vectors
        self.kept = kept
        self._scan = Scan(vectors.matrix)

    @classmethod
    def open(cls, store: Store, space: Space, *, exact: bool = False) -> Searcher:
        """Return who answers for a space: its index if it has one, unless `exact` is asked for."""
        state = None if exact or space.virtual else kept_index.read(store, space)
        key = (store.path, space.name, space.fingerprint, identity_of(store, space), state and state["name"])
        found = _opened.pop(key, None)
        if found is None:
            vectors = matrix_of(store, space)
            found = cls(vectors, None if state is None else kept_index.load(store, space, vectors))
        _opened[key] = found
        while len(_opened) > MOST_OPENED:
            _opened.popitem(last=False)
        return found

    def search(self, Q: NDArray[np.float32], k: int, *, keep: NDArray[np.bool_] | None = None) -> list[Neighbors]:
        """Return the min(k, rows kept) best rows for each unit query of `Q` (q, dim)."""
        if self.kept is None or not self._applies(k, keep):
            return self._scan.index(len(Q)).search(Q, k, keep=keep)
        return self._through_index(self.kept, Q, k, keep)

    def range_search(
        self, Q: NDArray[np.float32], threshold: float, *, keep: NDArray[np.bool_] | None = None
    ) -> list[Neighbors]:
        """Return every row with `score >= threshold` for each unit query of `Q` (q, dim)."""
        return self._scan.index(len(Q)).range_search(Q, threshold, keep=keep)

    def evidence(self, k: int | None, *, keep: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Return what an answer of `k` rows comes from (None: by threshold): `kind`, and the `recall` measured.

        `newer` counts the rows that came after the index was built.
        """
        if self.kept is None or k is None or not self._applies(k, keep):
            return {"kind": "exact", "recall": 1.0}
        at = _measured_at(self.kept.state, k)
        return {"kind": self.kept.state["kind"], "recall": self.kept.state["recall"][at], "newer": self.kept.newer}

    def _applies(self, k: int, keep: NDArray[np.bool_] | None) -> bool:
        # One that has too few rows to be trained compares them all, and so does the scan.
        if self.kept is None or not self.kept.state["trained"] or _measured_at(self.kept.state, k) is None:
            return False
        return keep is None or bool(keep.mean() >= LEAST_KEPT)

    @cached_property
    def _loose(self) -> Scan:
        assert self.kept is not None
        return Scan(self.vectors.matrix[self.kept.loose])

    def _through_index(
        self, kept: KeptIndex, Q: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
    ) -> list[Neighbors]:
        allowed = None
        if keep is not None or kept.state["gone"]:
            allowed = kept.places >= 0
            if keep is not None:
                allowed &= keep[kept.places]
        effort = kept.state["effort"][_measured_at(kept.state, k)]
        found = kept.index.search(Q, k, keep=allowed, effort=effort)
        placed = [Neighbors(np.asarray(kept.places[one.positions]), one.scores) for one in found]
        beside = self._loose.index(len(Q)).search(Q, k, keep=None if keep is None else keep[kept.loose])
        others = [Neighbors(kept.loose[one.positions], one.scores) for one in beside]
        return [_merged(parts, k) for parts in zip(placed, others, strict=True)]


def _measured_at(state: dict[str, Any], k: int) -> str | None:
    """Return the smallest k at which recall was measured that is not below `k`."""
    return min((name for name in state["recall"] if int(name) >= k), key=int, default=None)


def _merged(parts: Sequence[Neighbors], k: int) -> Neighbors:
    positions = np.concatenate([part.positions for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    order = np.lexsort((positions, -scores))[:k]
    return Neighbors(positions[order], scores[order])
