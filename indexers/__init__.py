"""Indexes: unit vectors in, neighbours out. Arithmetic only; ids and tables are somebody else's.

base.py         Neighbors, Index: what every member takes and gives
exact.py        ExactIndex: NumPy, the oracle for all others
flat.py         FlatIndex: every row, by FAISS, from where the rows lie; exact
flat16.py       Flat16Index: every row at half precision
hnsw.py         HNSWIndex: a graph
ivf.py          IVFIndex: inverted lists, of fp32 or 8-bit rows
pq.py           PQIndex: 4-bit codes
ivfpq.py        IVFPQIndex: inverted lists of 4-bit codes
faiss_index.py  FaissIndex: the last five propose, and exact scores decide
metrics.py      recall
ranking.py      average precision, precision and recall at k
tune.py         tune: the least effort that reaches a recall
choose.py       choose: which index for how many rows
background.py    Background: what random pairs score, and so what a score is worth
graph.py         KnnGraph: each row's nearest others; *_neighbors.py propose them
groups.py        complete-link groups of pairs
"""

from __future__ import annotations

import importlib
from dataclasses import fields
from typing import Any

from indexers.base import Index, Matrix, Neighbors

INDEXES = {
    "exact": "indexers.exact:ExactIndex",
    "flat": "indexers.flat:FlatIndex",
    "flat16": "indexers.flat16:Flat16Index",
    "hnsw": "indexers.hnsw:HNSWIndex",
    "ivf": "indexers.ivf:IVFIndex",
    "pq": "indexers.pq:PQIndex",
    "ivfpq": "indexers.ivfpq:IVFPQIndex",
}


def index_class(kind: str) -> Any:
    """Return the class of a kind of index; raise `ValueError` for a kind that is not there."""
    if kind not in INDEXES:
        raise ValueError(f"there is no index {kind!r}, only {', '.join(INDEXES)}")
    module, _, name = INDEXES[kind].partition(":")
    return getattr(importlib.import_module(module), name)


def parameters(kind: str) -> dict[str, Any]:
    """Return the parameters of a kind of index with their defaults, none for one that has nothing to choose."""
    given = getattr(index_class(kind), "Params", None)
    return {} if given is None else {field.name: field.default for field in fields(given)}


__all__ = ["INDEXES", "Index", "Matrix", "Neighbors", "index_class", "parameters"]
