"""HNSW: a graph of near rows in layers, walked greedily (Malkov and Yashunin, arXiv:1603.09320)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from indexers.faiss_index import SLACK, FaissIndex
from indexers.params import require_count, require_one_of

if TYPE_CHECKING:
    import faiss


@dataclass(frozen=True)
class HNSWParams:
    """`m` links a row in each layer (twice that in the lowest), found among `ef_construction` candidates."""

    m: int = 32
    ef_construction: int = 100
    storage: str = "fp16"

    def __post_init__(self) -> None:
        require_count("m", self.m, least=2, most=1024)
        require_count("ef_construction", self.ef_construction, most=100_000)
        require_one_of("storage", self.storage, ("fp16", "fp32"))


class HNSWIndex(FaissIndex[HNSWParams]):
    """A graph over all rows; `effort` is efSearch, the number of candidates that are kept on the way."""

    kind = "hnsw"
    Params = HNSWParams
    ladder = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
    default_effort = 64

    def _wanted(self, k: int, effort: int) -> int:
        # Scores of fp16 rows are right to three digits: true neighbours may stand a little further down.
        return k + SLACK if self.params.storage == "fp32" else 2 * k + SLACK

    def _make(self, dim: int) -> faiss.Index:
        import faiss

        if self.params.storage == "fp32":
            body = faiss.IndexHNSWFlat(dim, self.params.m, faiss.METRIC_INNER_PRODUCT)
        else:
            half = faiss.ScalarQuantizer.QT_fp16
            body = faiss.IndexHNSWSQ(dim, half, self.params.m, faiss.METRIC_INNER_PRODUCT)
        body.hnsw.efConstruction = self.params.ef_construction
        return body

    def _parameters(self, effort: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters:
        import faiss

        return faiss.SearchParametersHNSW(efSearch=effort, sel=selector)

    def _row_bytes(self, body: faiss.Index) -> int:
        import faiss

        return int(faiss.downcast_index(body.storage).code_size)
