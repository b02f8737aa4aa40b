"""Inverted lists of 4-bit codes: a query looks into a few of many lists, by fast scan, and exact scores decide.

Lists: Sivic and Zisserman, 2003, doi:10.1109/ICCV.2003.1238663; codes of what differs from a centre: Jégou, Douze and
Schmid, 2011, doi:10.1109/TPAMI.2010.57; the scan in registers: André, Kermarrec and Le Scouarnec, arXiv:1704.07355.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers.faiss_index import FEW_ROWS, SEED, FaissIndex
from indexers.ivf import LEAST_A_LIST
from indexers.params import require_count
from indexers.pq import BITS, LEAST_K, padded

if TYPE_CHECKING:
    import faiss

# Rows a list that its centre is trained on, and how often; twice the rows gained no recall (100,000 × 512).
SAMPLE_A_LIST, ITERATIONS = 16, 4
# Centres are themselves found by their codes; of this many times those wanted the best are kept, by exact scores. A row
# is put into a list once and asked for often, so its list is looked for with more care.
CENTRES_SEARCHED, CENTRES_FILLED = 4, 32
# Of fewer lists all centres are compared.
FEW_LISTS = 256
# Candidates scored again for each hit: as many as lists are looked into, but no fewer and no more than this.
LEAST_FACTOR, MOST_FACTOR = 6, 64


@dataclass(frozen=True)
class IVFPQParams:
    """`lists` centres; `width` dimensions of what differs from the centre share one code of 4 bits."""

    lists: int = 1024
    width: int = 4

    def __post_init__(self) -> None:
        require_count("lists", self.lists)
        require_count("width", self.width)


class IVFPQIndex(FaissIndex[IVFPQParams]):
    """Short codes in many lists; `effort` is nprobe, and with it grows how many candidates are scored again."""

    kind = "ivfpq"
    Params = IVFPQParams
    ladder = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    default_effort = 32

    def efforts(self) -> tuple[int, ...]:
        """Return the ladder up to half of the lists: beyond that a scan of all codes is as quick."""
        return tuple(one for one in self.ladder if one == self.ladder[0] or 2 * one <= self.params.lists)

    def _minimum(self) -> int:
        return max(FEW_ROWS, LEAST_A_LIST * self.params.lists)

    def _wanted(self, k: int, effort: int) -> int:
        return max(k, LEAST_K) * min(max(effort, LEAST_FACTOR), MOST_FACTOR)

    def _sample_rows(self) -> int:
        return SAMPLE_A_LIST * self.params.lists

    def _make(self, dim: int) -> faiss.Index:
        import faiss

        lists, parts = self.params.lists, -(-dim // self.params.width)
        dim = parts * self.params.width
        metric = faiss.METRIC_INNER_PRODUCT
        body = faiss.IndexIVFPQFastScan(faiss.IndexFlatIP(dim), dim, lists, parts, BITS, metric)
        body.by_residual = True
        body.cp.seed, body.cp.niter, body.cp.spherical = SEED, ITERATIONS, True
        # FAISS warns of fewer than 39 rows a centre; measured, they are enough to find lists by.
        body.cp.min_points_per_centroid = 1
        return body

    def _trained(self) -> faiss.Index:
        import faiss

        body = super()._trained()
        if body.nlist < FEW_LISTS:
            return body
        centres = body.quantizer.reconstruct_n(0, body.nlist)
        codes = faiss.IndexPQFastScan(body.d, body.pq.M, BITS, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.min_points_per_centroid = 1
        codes.train(centres)
        refined = faiss.IndexRefineFlat(codes)
        refined.own_fields = codes.this.disown() or True
        refined.add(centres)
        body.quantizer = refined
        body.own_fields = refined.this.disown() or True
        return body

    def _fill(self, body: faiss.Index, start: int) -> None:
        import faiss

        centres = faiss.downcast_index(body.quantizer)
        if isinstance(centres, faiss.IndexRefineFlat):
            centres.k_factor = CENTRES_FILLED
        super()._fill(body, start)
        if isinstance(centres, faiss.IndexRefineFlat):
            centres.k_factor = CENTRES_SEARCHED

    def _parameters(self, effort: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters:
        import faiss

        return faiss.SearchParametersIVF(nprobe=min(effort, self.params.lists), sel=selector)

    def _shaped(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        return padded(block, self.params.width)

    def _row_bytes(self, body: faiss.Index) -> int:
        # Lengths of lists stand between their codes: all of the file is checked.
        return 0
