"""Which pictures have their vectors already: what comes again, in another source, is not encoded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.encoders.base import Vectors
from engine.store import ID_BYTES, Space, Store
from engine.store.vectors import id_array, sort_key


@dataclass(frozen=True)
class Encoded:
    """The `vectors` (m, dim) of those of n pictures that are `lacking` one, bool (n,)."""

    lacking: NDArray[np.bool_]
    vectors: Vectors

    def of(self, places: list[int]) -> tuple[list[int], Vectors]:
        """Return which of some of the n pictures were lacking a vector, and theirs."""
        rows = np.cumsum(self.lacking) - 1
        lacking = [place for place in places if self.lacking[place]]
        return lacking, self.vectors[rows[lacking]]


class Known:
    """The ids that have a vector in each of some spaces, as it was when this was made: 32 bytes each."""

    def __init__(self, store: Store, spaces: Mapping[str, Space]) -> None:
        self._keys: dict[str, NDArray[np.bytes_]] = {}
        for name, space in spaces.items():
            table = store.vectors_table(space)
            if table.count():
                self._keys[name] = np.sort(sort_key(id_array(table.read(["id"])["id"])))

    def lacking(self, space: str, ids: list[bytes]) -> NDArray[np.bool_]:
        """Return which of the pictures have no vector in a space, bool (n,)."""
        keys = self._keys.get(space)
        if keys is None or not ids:
            return np.ones(len(ids), bool)
        wanted = sort_key(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES))
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.asarray(keys[found] != wanted)
