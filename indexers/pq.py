"""Product quantisation with fast scan: 4 bits for every few dimensions, then exact scores for the best.

Jégou, Douze and Schmid, 2011, doi:10.1109/TPAMI.2010.57; the scan in registers: André, Kermarrec and Le Scouarnec,
arXiv:1704.07355.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers.faiss_index import FaissIndex
from indexers.faiss_settings import threads_for
from indexers.params import require_count

if TYPE_CHECKING:
    import faiss

BITS = 4
# Candidates are counted for so many hits at least: the best alone is as hard to find as the best ten.
LEAST_K = 10
# Four bits are 16 centres a part, and FAISS trains a centre on no more than 256 rows.
SAMPLE_ROWS = 16 * 256


@dataclass(frozen=True)
class PQParams:
    """`width` dimensions share one code of 4 bits: a row takes dim / (2 × width) bytes."""

    width: int = 4

    def __post_init__(self) -> None:
        require_count("width", self.width, most=1024)


class PQIndex(FaissIndex[PQParams]):
    """Short codes of all rows, all of them scanned; `effort` is how many candidates an answer is chosen from."""

    kind = "pq"
    Params = PQParams
    ladder = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    default_effort = 16

    def _wanted(self, k: int, effort: int) -> int:
        return max(k, LEAST_K) * effort

    def _sample_rows(self) -> int:
        return SAMPLE_ROWS

    def _make(self, dim: int) -> faiss.Index:
        import faiss

        parts = -(-dim // self.params.width)
        return faiss.IndexPQFastScan(parts * self.params.width, parts, BITS, faiss.METRIC_INNER_PRODUCT)

    def _trained(self) -> faiss.Index:
        # Many tiny clusterings: on two threads they wait for each other for longer than they work (6 times the CPU).
        with threads_for(1):
            return super()._trained()

    def _shaped(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        return padded(block, self.params.width)

    def _propose(
        self, Q: NDArray[np.float32], n: int, effort: int, keep: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        # This scan knows no mask; with one, `effort` is larger already, and what is masked is dropped afterwards.
        assert self._body is not None
        return self._body.search(self._shaped(Q), n)[1]


def padded(block: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return rows (n, dim) with zeros behind, which change no product: FAISS wants a whole number of parts."""
    missing = -block.shape[1] % width
    return np.pad(block, ((0, 0), (0, missing))) if missing else block
