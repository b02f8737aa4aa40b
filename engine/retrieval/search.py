"""Search: query → unit vector → the space's searcher → hits, each with where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.retrieval.query import Part, Query, query_vector, resolved
from engine.retrieval.scope import Limits, Mask, Scope, scope_of
from engine.select import labels_of
from engine.store import ID_BYTES, Store, VectorCache
from engine.store.names import source_names
from engine.store.table import in_list


@dataclass(frozen=True)
class Hit:
    """One image of an answer by its first member; `score` is the cosine, computed in float64.

    `fpr` is the share of random pairs of the space's images that reach the score.
    """

    id: bytes
    name: str
    source: str | None
    ordinal: int
    score: float
    fpr: float
    label: str | None = None

    def __repr__(self) -> str:
        label = "" if self.label is None else f", label={self.label!r}"
        return f"Hit({self.name!r}, score={self.score:.4f}{label}, id={self.id.hex()[:12]}…)"


@dataclass(frozen=True)
class Answer:
    """Hits, best first, with what they came from. `complete`: no row that qualifies is missing.

    `threshold` is the one that was asked for, or what the asked `fpr` became in this space. `notes` say what was odd.
    """

    query: str
    space: str
    fingerprint: str
    hits: list[Hit]
    complete: bool
    rows: int
    index: dict[str, Any]
    store_version: dict[str, int]
    threshold: float | None = None
    fpr: float | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        best = f", the first {self.hits[0]!r}" if self.hits else ""
        return f"Answer({self.query!r} in space {self.space}, {self.index['kind']}: {len(self.hits)} hits{best})"


def search(
    store: Store,
    query: Query,
    *,
    space: str | None = None,
    k: int | None = None,
    threshold: float | None = None,
    fpr: float | None = None,
    where: str | None = None,
    exclude_self: bool = False,
    exact: bool = False,
) -> Answer:
    """Return the `k` closest images (10 if no other limit is given), or all with `score >= threshold`, or by `fpr`.

    With `fpr` the threshold is the smallest score that at most this share of random pairs reaches. `space` may be
    several: `clip=0.7,resnet=0.3`. `where` is applied before the search. Likes and unlikes that are stored are never
    answered; `exclude_self` leaves out all stored images that the query is made of, picture files included. `exact`
    compares every row even where the space has an index.
    Raises `BadInput`, `EmptySpace`, `NoSuchImage`, `AmbiguousName`.
    """
    scope = scope_of(store, Limits(k, threshold, fpr), space=space, where=where, exact=exact)
    parts = resolved(store, query)
    point = query_vector(store, query, parts, scope.space, scope.vectors)
    keep = without(scope.keep, scope.vectors, left_out(parts, exclude_self))
    hits, complete = _committed(scope, point, keep)
    return answer(scope, str(query), hits, complete=complete, index=scope.evidence(keep), versions=scope.versions())


def answer(
    scope: Scope, query: str, hits: list[Hit], *, complete: bool, index: dict[str, Any], versions: dict[str, int]
) -> Answer:
    """Return hits with what they came from: `index` is who found them."""
    return Answer(
        query, scope.space.name, scope.space.fingerprint, hits, complete and index["kind"] == "exact",
        len(scope.vectors), index, versions, scope.threshold, scope.fpr, scope.notes,
    )  # fmt: skip


def left_out(parts: Sequence[Part], exclude_self: bool) -> NDArray[np.uint8]:
    """Return the ids (m, 32) of the query's own pictures that must not be answered."""
    own = [part.own() for part in parts if exclude_self or part.example]
    return np.frombuffer(b"".join(one for one in own if one), np.uint8).reshape(-1, ID_BYTES)


def _committed(scope: Scope, point: NDArray[np.float32], keep: Mask | None) -> tuple[list[Hit], bool]:
    """Return the hits, and whether all that qualify are among them.

    During an ingest vectors are there before their ledger row; such an image is not part of the collection yet, so it
    is masked and the search done again.
    """
    vectors = scope.vectors
    while True:
        found = scope.find(point, keep=keep)[0]
        positions, scores = found.positions[: scope.k], found.scores[: scope.k]
        rates = scope.background.fpr(scores)
        hits = describe(scope.store, [vectors.ids[place].tobytes() for place in positions], scores, rates)
        if len(hits) == len(positions):
            return hits, scope.threshold is None or len(positions) == len(found)
        named = {hit.id for hit in hits}
        keep = np.ones(len(vectors), bool) if keep is None else keep
        keep[[place for place in positions if vectors.ids[place].tobytes() not in named]] = False


def describe(store: Store, ids: Sequence[bytes], scores: NDArray[np.float64], rates: NDArray[np.float64]) -> list[Hit]:
    """Return ids with the name of their first member and the label that counts."""
    # Images have an index; whether they were removed is looked at afterwards, which is quicker than to ask for both.
    rows = store.members.rows(["source", "ordinal", "name", "image", "removed"], in_list("image", list(ids)))
    alive = [row for row in rows if row["removed"] is None]
    names = {row["image"]: row for row in sorted(alive, key=lambda row: (row["source"], row["ordinal"]), reverse=True)}
    labels, sources = labels_of(store, list(ids)), source_names(store)
    # An image whose ledger row is not committed yet has vectors already; it is not part of the answer.
    return [
        Hit(one, row["name"], sources.get(row["source"]), row["ordinal"], float(score), float(rate), labels.get(one))
        for one, score, rate in zip(ids, scores, rates, strict=True)
        if (row := names.get(one))
    ]


def without(keep: Mask | None, vectors: VectorCache, ids: NDArray[np.uint8]) -> Mask | None:
    """Return the mask less the images `ids` (m, 32)."""
    if len(ids) == 0:
        return keep
    positions = vectors.positions(ids)
    keep = np.ones(len(vectors), bool) if keep is None else keep
    keep[positions[positions >= 0]] = False
    return keep
