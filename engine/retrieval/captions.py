"""Captions: name, source, ordinal and label of every row of a space, looked up once for many answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.select import all_labels
from engine.store import Store, VectorCache
from engine.store.names import source_names
from engine.store.vectors import id_array


@dataclass(frozen=True)
class Captions:
    """`table` has the columns name, source, ordinal and label; `rows` (n,) is where each row of the vectors is in it.

    A row of −1 has a vector and no committed member: it is not part of the collection (yet).
    """

    table: pa.Table
    rows: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Return the mask (n,) of the rows that are part of the collection."""
        return self.rows >= 0

    def take(self, positions: NDArray[np.int64]) -> pa.Table:
        """Return name, source, ordinal and label of some known rows."""
        return self.table.take(pa.array(self.rows[positions]))


def captions_of(store: Store, vectors: VectorCache) -> Captions:
    """Return what each image is called: the name and ordinal of its first member, and the label that counts."""
    members = store.members.read(
        ["image", "name", "source", "ordinal"], "image IS NOT NULL AND removed IS NULL"
    ).sort_by([("source", "ascending"), ("ordinal", "ascending")])
    places, first = np.unique(vectors.positions(id_array(members["image"])), return_index=True)
    places, first = places[places >= 0], first[places >= 0]
    rows = np.full(len(vectors), -1, np.int64)
    rows[places] = np.arange(len(places))
    table = members.select(["name", "source", "ordinal"]).take(pa.array(first))
    table = table.set_column(1, "source", _sources(store, table["source"]))
    return Captions(table.append_column("label", _labels(store, vectors, rows, len(places))), rows)


def _sources(store: Store, digests: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return what each source is called."""
    called = source_names(store)
    places = pc.index_in(digests, pa.array(list(called), digests.type))
    return pa.chunked_array([pa.array(list(called.values()), pa.string()).take(places.combine_chunks())])


def _labels(store: Store, vectors: VectorCache, rows: NDArray[np.int64], count: int) -> pa.ChunkedArray:
    found = all_labels(store)
    places = vectors.positions(id_array(found["id"]))
    described = np.where(places >= 0, rows[places], -1)
    chosen = np.full(count, -1, np.int64)
    chosen[described[described >= 0]] = np.flatnonzero(described >= 0)
    return found["label"].cast(pa.string()).take(pa.array(chosen, mask=chosen < 0))
