"""The tables of a collection and the cache of its vectors. The only package that imports Lance.

store.py    Store, Space: the directory and what it holds
schemas.py  the columns of each table
table.py    Table: merge, read, scan
vectors.py  VectorCache: a space as one memory-mapped matrix
names.py    resolve: how an image is named
durable.py  fsync, full disks, manifests lost with the power
"""

from engine.store.schemas import ID_BYTES
from engine.store.store import Space, Store
from engine.store.table import Table
from engine.store.vectors import VectorCache

__all__ = ["ID_BYTES", "Space", "Store", "Table", "VectorCache"]
