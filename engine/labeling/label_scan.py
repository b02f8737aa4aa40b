"""One pass over a space: every image of the collection with its score, and what each threshold makes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.errors import EmptySpace
from engine.fused import matrix_of
from engine.labeling.exemplars import Known, vectors_of
from engine.labeling.label_rule import SHARES, Cut, Rule
from engine.neighbors.graph import graph
from engine.progress import Progress
from engine.retrieval.background import background
from engine.retrieval.scope import masked
from engine.select import matching
from engine.store import Space, Store, VectorCache
from engine.store.vectors import id_array
from labelers import Labels
from labelers.base import Gathered


@dataclass(frozen=True)
class Scored:
    """The labels of images `ids` uint8 (n, 32) in a space, or in several: `answers`, one for each of `cuts`.

    `seconds` is what the scan took that gave them all.
    """

    space: str
    fingerprints: dict[str, str]
    labeler: str
    ids: NDArray[np.uint8]
    answers: list[Labels]
    cuts: list[Cut]
    seconds: float


def scored(
    store: Store, space: Space, rule: Rule, found: Known, where: str | None, notes: list[str], progress: Progress
) -> Scored:
    """Return every image of a space with its score, for the lowest of the thresholds."""
    neighbours = None
    if rule.labeler in SHARES:
        made = graph(store, space.name, progress=progress)
        vectors, neighbours = made.vectors, made.knn.csr()
        notes.append(f"graph of space {space.name}: {made.built.kind}, recall {made.built.recall:.3f}")
    else:
        vectors = matrix_of(store, space)
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {space.name!r}", space.remedy)
    cuts = rule.cuts(None if rule.labeler in SHARES else background(store, space, vectors))
    examples, missing = vectors_of(found, space, vectors)
    if missing:
        notes.append(f"{missing} of the labelled images have no vector in space {space.name}")
    places = np.flatnonzero(_in_collection(store, vectors, where))
    least = min(cut.threshold for cut in cuts)
    began = time.perf_counter()
    if rule.labeler in SHARES:
        # The graph has a row for each vector of the space, whatever is asked for.
        labels = taken(rule.scored(vectors.matrix, examples, threshold=least, graph=neighbours), places)
    else:
        whole = len(places) == len(vectors)
        rows = vectors.matrix if whole else Gathered(vectors.matrix, places)
        labels = rule.scored(rows, examples, threshold=least)
    seconds = time.perf_counter() - began
    answers = [at(labels, cut.threshold) for cut in cuts]
    return Scored(
        space.name, {space.name: space.fingerprint}, rule.labeler, vectors.ids[places], answers, cuts, seconds
    )


def _in_collection(store: Store, vectors: VectorCache, where: str | None) -> NDArray[np.bool_]:
    """Return which vectors are of images in the ledger: during an ingest some are not yet."""
    if where is not None:
        return masked(len(vectors), [vectors.positions(matching(store, where))])
    members = store.members.scan(["image"], "removed IS NULL AND image IS NOT NULL")
    return masked(len(vectors), [vectors.positions(id_array(batch["image"])) for batch in members])


def at(labels: Labels, threshold: float) -> Labels:
    """Return what a scan at a threshold that is not lower than theirs gives.

    The best class is chosen before any threshold is looked at, so that raising one only takes labels away.
    """
    met = labels.scores >= threshold
    return replace(labels, codes=np.where(met, labels.codes, -1).astype(np.int32), conflict=labels.conflict & met)


def taken(labels: Labels, rows: NDArray[np.int64]) -> Labels:
    """Return the labels of some rows."""
    parts = (getattr(labels, name)[rows] for name in ("codes", "best", "scores", "runner_up", "conflict"))
    return Labels(labels.classes, *parts)
