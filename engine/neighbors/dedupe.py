"""Dedupe: groups of images that are alike two by two, one of each to keep. Nothing is removed here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.fused import matrix_of
from engine.neighbors.graph import Graph, graph
from engine.neighbors.near_pairs import cosines, near_pairs
from engine.progress import Progress, Silent
from engine.select import matching
from engine.store import Store, VectorCache
from engine.store.names import source_names
from engine.store.table import in_list
from indexers.groups import complete_link

THRESHOLD = 0.96
# What to keep of a group, the best first: facts → what is compared.
KEEP = {
    "largest": lambda one: (-one.pixels, -one.bytes, one.place),
    "first": lambda one: one.place,
}
ROWS = 4096
# Ids in one SQL condition.
BATCH = 2000


@dataclass(frozen=True)
class Picture:
    """What decides which image of a group is kept. `place` is where it came first: (age of its source, ordinal)."""

    id: bytes
    name: str
    source: str | None
    place: tuple[int, int]
    pixels: int
    bytes: int


@dataclass(frozen=True)
class Group:
    """Images of which every pair meets the threshold; the first is the one to keep. `scores` are cosines with it."""

    pictures: list[Picture]
    scores: list[float]


@dataclass(frozen=True)
class Deduped:
    """The groups, largest first, in `images` that were compared.

    `complete`: no pair is missing; else `graph` says on which recall that rests.
    """

    run: str | None
    space: str
    threshold: float
    complete: bool
    graph: dict[str, Any] | None
    images: int
    groups: list[Group]

    @property
    def removable(self) -> int:
        return sum(len(group.pictures) - 1 for group in self.groups)


def dedupe(
    store: Store,
    *,
    space: str | None = None,
    threshold: float = THRESHOLD,
    where: str | None = None,
    keep: str = "largest",
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Deduped:
    """Find the groups in which every pair has `score >= threshold`, and record them as a run of kind `group`.

    `keep` is a key of `KEEP`. `dry_run` records nothing. `remove(store, duplicates=RUN)` removes all but what is kept.
    Raises `BadInput`, `EmptySpace`, `Interrupted`.
    """
    if not -1 <= threshold <= 1:
        raise BadInput(f"the threshold is {threshold}", "a cosine lies between -1 and 1")
    if keep not in KEEP:
        raise BadInput(f"--keep {keep} is not known", f"one of: {', '.join(KEEP)}")
    progress = progress or Silent()
    chosen = store.space(space)
    vectors = matrix_of(store, chosen)
    made = graph(store, chosen.name, progress=progress) if len(vectors) > 1 else None
    vectors = vectors if made is None else made.vectors
    mask = _mask(store, vectors, where)
    groups = [] if made is None else complete_link(*near_pairs(made, threshold, mask, progress))
    images = len(vectors) if mask is None else int(mask.sum())
    if mask is not None and images == 0:
        progress.note("no image meets --where")
    found = Deduped(None, chosen.name, threshold, made is None or made.complete, _evidence(made), images, [])
    if dry_run:
        return replace(found, groups=list(_described(store, vectors, groups, keep)))
    asked = {"space": chosen.name, "threshold": threshold, "where": where, "keep": keep, "graph": found.graph}
    # A removal waits: no label is written for an image that is gone.
    with store.lock(), store.run("dedupe", asked) as run:
        done = replace(found, run=run.name, groups=list(_described(store, vectors, groups, keep)))
        for start in range(0, len(done.groups), ROWS):
            rows = [row for group in done.groups[start : start + ROWS] for row in _rows(group, run.name)]
            store.labels.merge(pa.Table.from_pylist(rows, store.labels.schema))
        run.result.update(groups=len(done.groups), kept=len(done.groups), removable=done.removable)
    return done


def _evidence(made: Graph | None) -> dict[str, Any] | None:
    return None if made is None else {"kind": made.built.kind, "k": made.built.k, "recall": made.built.recall}


def _mask(store: Store, vectors: VectorCache, where: str | None) -> NDArray[np.bool_] | None:
    if where is None:
        return None
    positions = vectors.positions(matching(store, where))
    mask = np.zeros(len(vectors), bool)
    mask[positions[positions >= 0]] = True
    return mask


def _described(store: Store, vectors: VectorCache, groups: Sequence[NDArray[np.int64]], keep: str) -> Iterator[Group]:
    """Yield the groups with the image to keep first, then by falling score."""
    places = {vectors.ids[place].tobytes(): int(place) for group in groups for place in group}
    known = _pictures(store, list(places))
    for group in groups:
        # An image whose ledger row is not committed yet, or was removed since, is not part of the collection.
        pictures = [known[one] for one in (vectors.ids[place].tobytes() for place in group) if one in known]
        if len(pictures) < 2:
            continue
        kept = min(pictures, key=KEEP[keep])
        rows = np.array([places[one.id] for one in pictures])
        scores = cosines(vectors.matrix, np.stack(np.broadcast_arrays(places[kept.id], rows), axis=1))
        found = {one.id: float(score) for one, score in zip(pictures, scores, strict=True)} | {kept.id: 1.0}
        ordered = sorted(pictures, key=lambda one: (one is not kept, -found[one.id], one.place))
        yield Group(ordered, [found[one.id] for one in ordered])


def _pictures(store: Store, ids: Sequence[bytes]) -> dict[bytes, Picture]:
    """Return those of `ids` that are part of the collection, each by its first member."""
    began = {row["run"]: row["time"] for row in store.runs.rows(["run", "time"], "event = 'start'")}
    rows = sorted(
        store.sources.rows(["digest", "path", "run"]), key=lambda row: (began.get(row["run"], 0.0), row["path"])
    )
    age = {row["digest"]: place for place, row in enumerate(rows)}
    found: dict[bytes, Picture] = {}
    called = source_names(store)
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        images = {row["id"]: row for row in store.images.rows(where=in_list("id", some))}
        members = store.members.rows(
            ["source", "ordinal", "name", "image"], f"removed IS NULL AND {in_list('image', some)}"
        )
        for row in sorted(members, key=lambda row: (age[row["source"]], row["ordinal"]), reverse=True):
            if image := images.get(row["image"]):
                place = (age[row["source"]], row["ordinal"])
                pixels = image["width"] * image["height"]
                found[row["image"]] = Picture(
                    row["image"], row["name"], called.get(row["source"]), place, pixels, image["bytes"]
                )
    return found


def _rows(group: Group, run: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a group: each of its images, labelled with the one that is kept."""
    label = group.pictures[0].id.hex()
    for picture, score in zip(group.pictures, group.scores, strict=True):
        # Each run makes its own statement; that of another is never taken for it.
        key = hashlib.sha256(f"{run} {picture.id.hex()} {label}".encode()).digest()
        yield {
            "key": key,
            "id": picture.id,
            "label": label,
            "polarity": True,
            "score": score,
            "kind": "group",
            "source": "dedupe",
            "run": run,
        }
