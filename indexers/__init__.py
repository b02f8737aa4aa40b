"""Indexes: unit vectors in, neighbours out. Arithmetic only; ids, tables and files are somebody else's.

base.py   Neighbors, Index: what every member takes and gives
exact.py  ExactIndex: NumPy, the oracle for all others
graph.py  KnnGraph: each row's nearest others; *_neighbors.py propose them
groups.py complete-link groups of pairs
"""

from indexers.base import Index, Neighbors

INDEXES = {"exact": "indexers.exact:ExactIndex"}

__all__ = ["INDEXES", "Index", "Neighbors"]
