"""Flat at half precision: every row is compared at fp16, and exact scores decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexers.faiss_index import SLACK, FaissIndex

if TYPE_CHECKING:
    import faiss


@dataclass(frozen=True)
class Flat16Params:
    """Nothing to choose."""


class Flat16Index(FaissIndex[Flat16Params]):
    """A copy of all rows at half their size, all of it scanned: half the time for one query, no gain for many."""

    kind = "flat16"
    Params = Flat16Params

    def _wanted(self, k: int, effort: int) -> int:
        return 2 * k + SLACK

    def _make(self, dim: int) -> faiss.Index:
        import faiss

        return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
