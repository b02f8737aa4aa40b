"""The indexes of this project, asked through the interface that `search` uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Positions, Vectors
from indexers import INDEXES
from indexers.choose import FINE, lists_for


class ExactPeer:
    """The exact index; the others differ from it in `kind` alone."""

    kind = "exact"

    def __init__(self) -> None:
        if self.kind not in INDEXES:
            raise ImportError(f"there is no index {self.kind!r}", name=f"indexers.{self.kind}")
        module, _, name = INDEXES[self.kind].partition(":")
        # Whatever the kind, it has more than the `Index` that all have.
        self._kind: Any = getattr(import_module(module), name)
        self._index: Any = None

    @property
    def params(self) -> dict[str, Any]:
        params = getattr(self._index, "params", None)
        return asdict(params) if is_dataclass(params) and not isinstance(params, type) else {}

    def build(self, X: Vectors, folder: Path) -> None:
        self._keep(X, folder)
        given = self._given(len(X))
        self._index = self._kind(self._kind.Params(**given)) if given else self._kind()
        self._index.add(X)

    def save(self) -> int:
        self._index.save(self._saved)
        # The vectors stay beside the index: answers are scored from them.
        return self._bytes + sum(path.stat().st_size for path in self._saved.rglob("*"))

    def load(self, X: Vectors, folder: Path) -> None:
        self._keep(X, folder)
        self._index = self._kind.load(self._saved, X)

    def _keep(self, X: Vectors, folder: Path) -> None:
        self._saved, self._bytes = folder / "saved", X.nbytes

    def _given(self, rows: int) -> dict[str, Any]:
        """Return the parameters that depend on the number of rows; the others are what they are by default."""
        return {}

    def efforts(self) -> Sequence[Effort]:
        ladder = getattr(self._index, "efforts", None)
        return list(ladder()) or [None] if ladder else [None]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        return self.query_batch(q[None], k, effort)[0]

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        found = self._index.search(Q, k) if effort is None else self._index.search(Q, k, effort=effort)
        return [np.asarray(one.positions) for one in found]


class FlatPeer(ExactPeer):
    """Every row is compared, by FAISS."""

    kind = "flat"


class Flat16Peer(ExactPeer):
    """Every row is compared at half precision, the best scored again."""

    kind = "flat16"


class HNSWPeer(ExactPeer):
    """A graph of layers."""

    kind = "hnsw"


class IVFPeer(ExactPeer):
    """Inverted lists, as many as `engine index` makes."""

    kind = "ivf"

    def _given(self, rows: int) -> dict[str, Any]:
        return {"lists": lists_for(rows)}


class IVFSQ8Peer(IVFPeer):
    """Inverted lists of rows at 8 bits a dimension, the best scored again."""

    def _given(self, rows: int) -> dict[str, Any]:
        return {**super()._given(rows), "storage": "sq8"}


class PQPeer(ExactPeer):
    """Product quantisation, the best scored again from the vectors."""

    kind = "pq"


class IVFPQPeer(ExactPeer):
    """Short codes in as many lists as `engine index` makes, the best scored again from the vectors."""

    kind = "ivfpq"

    def _given(self, rows: int) -> dict[str, Any]:
        return {"lists": lists_for(rows, FINE)}
