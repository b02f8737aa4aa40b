"""Inverted lists: rows are kept with the nearest of many centres, and a query looks into a few lists.

Sivic and Zisserman, 2003, doi:10.1109/ICCV.2003.1238663; as in FAISS, Douze et al., arXiv:2401.08281.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers import files
from indexers.faiss_index import FEW_ROWS, SEED, SLACK, FaissIndex
from indexers.params import require_count, require_one_of

if TYPE_CHECKING:
    import faiss

# FAISS's own least number of rows a centre, and the rows a centre that the sample holds.
LEAST_A_LIST, SAMPLE_A_LIST = 39, 64


@dataclass(frozen=True)
class IVFParams:
    """`lists` centres; rows in them as they are (fp32), or 8 bits a dimension of what differs from the centre (sq8)."""

    lists: int = 256
    storage: str = "fp32"

    def __post_init__(self) -> None:
        require_count("lists", self.lists)
        require_one_of("storage", self.storage, ("fp32", "sq8"))


class IVFIndex(FaissIndex[IVFParams]):
    """Rows in lists by their nearest centre; `effort` is nprobe, the number of lists that are looked into."""

    kind = "ivf"
    Params = IVFParams
    ladder = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
    default_effort = 16

    def efforts(self) -> tuple[int, ...]:
        """Return the ladder up to half of the lists: beyond that the exact scan is as quick."""
        return tuple(one for one in self.ladder if one == 1 or 2 * one <= self.params.lists)

    def _minimum(self) -> int:
        return max(FEW_ROWS, LEAST_A_LIST * self.params.lists)

    def _wanted(self, k: int, effort: int) -> int:
        return k + SLACK if self.params.storage == "fp32" else 2 * k + SLACK

    def _sample_rows(self) -> int:
        return SAMPLE_A_LIST * self.params.lists

    def _make(self, dim: int) -> faiss.Index:
        import faiss

        centres = faiss.IndexFlatIP(dim)
        if self.params.storage == "fp32":
            body = faiss.IndexIVFFlat(centres, dim, self.params.lists, faiss.METRIC_INNER_PRODUCT)
        else:
            eight = faiss.ScalarQuantizer.QT_8bit
            body = faiss.IndexIVFScalarQuantizer(centres, dim, self.params.lists, eight, faiss.METRIC_INNER_PRODUCT)
        body.cp.seed = SEED
        body.cp.spherical = True
        return body

    def _fill(self, body: faiss.Index, start: int) -> None:
        import faiss

        owner = np.concatenate([body.quantizer.search(block, 1)[1].ravel() for _, block in self._rows.blocks(start)])
        _reserve(body, np.bincount(owner, minlength=body.nlist))
        for place, block in self._rows.blocks(start):
            lists = owner[place - start : place - start + len(block)]
            body.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists))

    def _parameters(self, effort: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters:
        import faiss

        return faiss.SearchParametersIVF(nprobe=min(effort, self.params.lists), sel=selector)

    def _row_bytes(self, body: faiss.Index) -> int:
        return int(body.code_size) + 8

    def _writable(self, path: str | PathLike[str], saved: files.Saved) -> faiss.Index:
        # Not read at once: the lists are copied when it is known how long they get.
        assert self._body is not None
        return self._body


def _reserve(body: faiss.Index, more: NDArray[np.int64]) -> None:
    """Give every list the room it will need: lists that grow as they are filled take up to twice their size."""
    import faiss

    old = faiss.downcast_InvertedLists(body.invlists)
    lists = faiss.ArrayInvertedLists(body.nlist, body.code_size)
    for one, count in enumerate(more):
        there = old.list_size(one)
        lists.resize(one, there + int(count))
        lists.resize(one, 0)
        if there:
            lists.add_entries(one, there, old.get_ids(one), old.get_codes(one))
    body.replace_invlists(lists, True)
    lists.this.disown()
