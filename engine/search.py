"""Search: query → unit vector → the space's searcher → hits, each with where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.fused import matrix_of
from engine.query import Query, id_of, query_vector
from engine.searcher import Searcher
from engine.select import labels_of, matching
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.names import resolve
from engine.store.table import in_list


@dataclass(frozen=True)
class Hit:
    """One image of an answer; `score` is the cosine, computed in float64."""

    id: bytes
    name: str
    ordinal: int
    score: float
    label: str | None = None


@dataclass(frozen=True)
class Answer:
    """Hits, best first, with what they came from. `complete`: no row that qualifies is missing."""

    query: str
    space: str
    fingerprint: str
    hits: list[Hit]
    complete: bool
    rows: int
    index: dict[str, Any]
    store_version: dict[str, int]


def search(
    store: Store,
    query: Query,
    *,
    space: str | None = None,
    k: int | None = None,
    threshold: float | None = None,
    where: str | None = None,
    exclude_self: bool = False,
) -> Answer:
    """Return the `k` closest images (10 if neither `k` nor `threshold` is given), or all with `score >= threshold`.

    `where` is applied before the search. `exclude_self` leaves out the stored images that the query is made of, picture
    files that are stored included.
    Raises `BadInput`, `EmptySpace`, `NoSuchImage`, `AmbiguousName`.
    """
    k = 10 if k is None and threshold is None else k
    if k is not None and k < 1:
        raise BadInput(f"k is {k}", "ask for at least one: -k 10")
    if threshold is not None and not -1 <= threshold <= 1:
        raise BadInput(f"the threshold is {threshold}", "a cosine lies between -1 and 1")
    chosen = store.space(space)
    vectors = matrix_of(store, chosen)
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {chosen.name!r}", chosen.remedy)
    named = {name: resolve(store, name) for name in query.names}
    point = query_vector(store, query, named, chosen, vectors)
    own = [*named.values(), *map(id_of, query.images)] if exclude_self else []
    keep = _mask(store, vectors, where, own)
    searcher = Searcher.open(store, chosen)
    hits, complete = _committed(store, searcher, point, k, threshold, keep)
    versions = store.versions([store.members, *(store.vectors_table(part) for part in _parts(store, chosen))])
    evidence = searcher.evidence(k if threshold is None else None)
    return Answer(str(query), chosen.name, chosen.fingerprint, hits, complete, len(vectors), evidence, versions)


def _committed(
    store: Store,
    searcher: Searcher,
    point: NDArray[np.float32],
    k: int | None,
    threshold: float | None,
    keep: NDArray[np.bool_] | None,
) -> tuple[list[Hit], bool]:
    """Return the hits, and whether all that qualify are among them.

    During an ingest vectors are there before their ledger row; such an image is not part of the collection yet, so it
    is masked and the search done again.
    """
    vectors = searcher.vectors
    while True:
        if threshold is None:
            found = searcher.search(point, k or 10, keep=keep)[0]
        else:
            found = searcher.range_search(point, threshold, keep=keep)[0]
        positions, scores = found.positions[:k], found.scores[:k]
        hits = describe(store, [vectors.ids[place].tobytes() for place in positions], scores)
        if len(hits) == len(positions):
            return hits, threshold is None or len(positions) == len(found)
        named = {hit.id for hit in hits}
        keep = np.ones(len(vectors), bool) if keep is None else keep
        keep[[place for place in positions if vectors.ids[place].tobytes() not in named]] = False


def _parts(store: Store, space: Space) -> list[Space]:
    if not space.virtual:
        return [space]
    spaces = store.spaces()
    return [spaces[name] for name in space.recipe["weights"]]


def describe(store: Store, ids: Sequence[bytes], scores: NDArray[np.float64]) -> list[Hit]:
    """Return ids with the name of their first member and the label that counts."""
    rows = store.members.rows(
        ["source", "ordinal", "name", "image"], f"removed IS NULL AND {in_list('image', list(ids))}"
    )
    names = {row["image"]: row for row in sorted(rows, key=lambda row: (row["source"], row["ordinal"]), reverse=True)}
    labels = labels_of(store, list(ids))
    # An image whose ledger row is not committed yet has vectors already; it is not part of the answer.
    return [
        Hit(one, names[one]["name"], names[one]["ordinal"], float(score), labels.get(one))
        for one, score in zip(ids, scores, strict=True)
        if one in names
    ]


def _mask(
    store: Store, vectors: VectorCache, where: str | None, leave_out: Sequence[bytes]
) -> NDArray[np.bool_] | None:
    if where is None and not leave_out:
        return None
    keep = np.full(len(vectors), where is None)
    if where is not None:
        _set(keep, vectors, matching(store, where), True)
    _set(keep, vectors, np.frombuffer(b"".join(leave_out), np.uint8).reshape(-1, ID_BYTES), False)
    return keep


def _set(keep: NDArray[np.bool_], vectors: VectorCache, ids: NDArray[np.uint8], value: bool) -> None:
    positions = vectors.positions(ids)
    keep[positions[positions >= 0]] = value
