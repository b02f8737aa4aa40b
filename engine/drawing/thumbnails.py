"""Thumbnails of many images, by their places in the table: a condition that names them reads all of it each time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.store import Store
from engine.store.vectors import id_array, sort_key


class Thumbnails:
    """The encoded thumbnails of `ids` uint8 (n, 32), read in parts; the caller holds the store's lock meanwhile."""

    def __init__(self, store: Store, ids: NDArray[np.uint8]) -> None:
        self._table = store.thumbnails.dataset()
        self._places = np.full(len(ids), -1, np.int64)
        if self._table is None:
            return
        keys = sort_key(id_array(self._table.to_table(columns=["id"])["id"]))
        order = np.argsort(keys, kind="stable")
        wanted = sort_key(ids)
        found = np.searchsorted(keys, wanted, sorter=order)
        known = found < len(keys)
        known[known] = keys[order[found[known]]] == wanted[known]
        self._places[known] = order[found[known]]

    def of(self, rows: NDArray[np.int64] | slice) -> list[bytes | None]:
        """Return the thumbnails of some of the images, in their order, None for one that has none."""
        places = self._places[rows]
        known = np.flatnonzero(places >= 0)
        pictures: list[bytes | None] = [None] * len(places)
        if self._table is not None and len(known):
            # Neighbours on the disk are read together.
            taken = known[np.argsort(places[known], kind="stable")]
            column = self._table.take(places[taken], columns=["thumbnail"])["thumbnail"]
            for place, data in zip(taken, column, strict=True):
                pictures[place] = data.as_py()
        return pictures
