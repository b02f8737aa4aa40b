"""Scope: where a search looks and how far, which is the same for one query and for a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.fused import components
from engine.retrieval.background import background
from engine.retrieval.mixed import searched_space
from engine.retrieval.searcher import Searcher
from engine.select import matching
from engine.store import Space, Store, VectorCache
from indexers import Neighbors
from indexers.background import Background

DEFAULT_K = 10
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """How far a search goes: `k` rows, all with `score >= threshold`, or the threshold that an `fpr` stands for.

    A `k` beside one of the others cuts its answer.
    """

    k: int | None = None
    threshold: float | None = None
    fpr: float | None = None

    def check(self) -> None:
        """Raise `BadInput` for what no search can mean."""
        if self.k is not None and self.k < 1:
            raise BadInput(f"k is {self.k}", "ask for at least one: -k 10")
        if self.threshold is not None and self.fpr is not None:
            raise BadInput(
                f"--threshold {self.threshold} and --fpr {self.fpr} are two thresholds", "leave one of the two out"
            )
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise BadInput(f"the threshold is {self.threshold}", "a cosine lies between -1 and 1")


@dataclass(frozen=True)
class Scope:
    """A space and its searcher, the rows that may be answered (`keep`, None: all), and how far the search goes.

    `threshold` is the one that was asked for, or that an `fpr` became; `k` is None for a threshold without a cap.
    `hint` says why nothing may have been found.
    """

    store: Store
    space: Space
    searcher: Searcher
    background: Background
    keep: Mask | None
    k: int | None
    threshold: float | None
    fpr: float | None
    hint: str | None = None

    @property
    def vectors(self) -> VectorCache:
        return self.searcher.vectors

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what somebody who searches should know."""
        copied = "the store cannot be written: its vectors were copied for this search alone, and will be for the next"
        return tuple(filter(None, [copied if self.vectors.temporary else None, self.hint]))

    def evidence(self, keep: Mask | None, *, spare: int = 0) -> dict[str, Any]:
        """Return who answers what `find` is asked, with the recall that was measured."""
        wanted = (self.k or DEFAULT_K) + spare if self.threshold is None else None
        return self.searcher.evidence(wanted, keep=keep)

    def find(self, Q: NDArray[np.float32], *, keep: Mask | None, spare: int = 0) -> list[Neighbors]:
        """Return the neighbours of each unit query of `Q` (q, dim): without a threshold k + `spare`, else all."""
        if self.threshold is not None:
            return self.searcher.range_search(Q, self.threshold, keep=keep)
        return self.searcher.search(Q, (self.k or DEFAULT_K) + spare, keep=keep)

    def versions(self) -> dict[str, int]:
        """Return the versions of the tables that answers come from."""
        parts = [part for part, _ in components(self.store, self.space)] if self.space.virtual else [self.space]
        return self.store.versions([self.store.members, *map(self.store.vectors_table, parts)])


def scope_of(store: Store, limits: Limits, *, space: str | None, where: str | None, exact: bool = False) -> Scope:
    """Return what a search over `space` needs; `where` is a condition that is applied before it; `exact` asks no index.

    Raises `BadInput` for limits or a condition that make no sense, `EmptySpace`.
    """
    limits.check()
    chosen = searched_space(store, space)
    searcher = Searcher.open(store, chosen, exact=exact)
    vectors = searcher.vectors
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {chosen.name!r}", chosen.remedy)
    random = background(store, chosen, vectors)
    threshold = limits.threshold if limits.fpr is None else _threshold(random, limits.fpr)
    k = DEFAULT_K if limits.k is None and threshold is None else limits.k
    keep = None if where is None else masked(len(vectors), [vectors.positions(matching(store, where))])
    return Scope(store, chosen, searcher, random, keep, k, threshold, limits.fpr, _hint(store, where, keep))


def _hint(store: Store, where: str | None, keep: Mask | None) -> str | None:
    """Return what to know where a condition on labels is met by nothing, and labels are kept as truth."""
    if where is None or keep is None or keep.any() or "label" not in where.lower():
        return None
    if store.labels.count("source = 'truth'") == 0:
        return None
    return "no image meets --where; labels that are kept as truth are for evaluation and are not shown: docs/labels.md"


def masked(rows: int, positions: Sequence[NDArray[np.int64]]) -> Mask:
    """Return the mask (rows,) of some positions; −1 stands for an image without a vector."""
    keep = np.zeros(rows, bool)
    for some in positions:
        keep[some[some >= 0]] = True
    return keep


def _threshold(random: Background, fpr: float) -> float:
    try:
        return random.threshold(fpr)
    except ValueError as error:
        raise BadInput(f"--fpr {fpr:g}: {error}", "ask for a larger rate, or for a cosine: --threshold 0.9") from None
