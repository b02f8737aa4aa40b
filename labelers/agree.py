"""Several spaces must agree on a label. How much that proves depends on how independent they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.base import Labels


@dataclass(frozen=True)
class Agreement:
    """What several spaces say together.

    labels       the labels on which enough of them agree
    disagree     bool (n,), they do not all say the same; having no label is saying something
    kappa        float64 (spaces, spaces), Cohen's kappa of their decisions, nan where both give one answer everywhere
    correlation  float64 (spaces, spaces), Pearson correlation of their scores among rows that none labels, nan where
                 there are too few or they do not vary; high values mean that they err together
    """

    labels: Labels
    disagree: NDArray[np.bool_]
    kappa: NDArray[np.float64]
    correlation: NDArray[np.float64]


def agree(spaces: Sequence[Labels], *, at_least: int | None = None) -> Agreement:
    """Return the label of each row that `at_least` of the spaces give it (default: all) and no other has as many.

    Its score is the lowest among the spaces that name that class, its runner-up the highest that any gives to another.
    Spaces that agree prove more the less they err together (conditional independence, Blum & Mitchell 1998). Raises
    `ValueError` for no spaces, other classes or lengths, and an `at_least` that cannot be met.
    """
    if not spaces or any(one.classes != spaces[0].classes or len(one) != len(spaces[0]) for one in spaces):
        raise ValueError("the spaces must be one or more, with the same classes and as many rows")
    needed = len(spaces) if at_least is None else at_least
    if not 1 <= needed <= len(spaces):
        raise ValueError(f"at_least is {needed}, there are {len(spaces)} spaces")
    codes = np.stack([one.codes for one in spaces])
    return Agreement(
        _combined(spaces, codes, needed),
        (codes != codes[0]).any(axis=0),
        np.array([[cohen_kappa(a, b) for b in codes] for a in codes]),
        _correlation(np.stack([one.scores for one in spaces])[:, (codes < 0).all(axis=0)]),
    )


def _combined(spaces: Sequence[Labels], codes: NDArray[np.int32], needed: int) -> Labels:
    named = np.stack([one.best for one in spaces])
    scores = np.stack([one.scores for one in spaces])
    second = np.stack([one.runner_up for one in spaces])
    # For the class that each space names: how many accept it, how many name it.
    accepted = np.stack([(codes == one).sum(axis=0) * (one >= 0) for one in named])
    support = accepted * (len(spaces) + 1) + np.stack([(named == one).sum(axis=0) * (one >= 0) for one in named])
    columns = np.arange(named.shape[1])
    # Of classes with the same support the first is named, whatever the order of the spaces.
    chosen = np.lexsort((named, -support), axis=0)[0]
    best, most = named[chosen, columns], accepted[chosen, columns]
    tied = ((accepted == most) & (named != best)).any(axis=0)
    supporting = named == best
    score = np.where(supporting, scores, np.inf).min(axis=0, initial=np.inf)
    enough = (best >= 0) & (most >= needed)
    result = np.where(enough & ~tied, best, -1).astype(np.int32)
    conflict = (enough & tied) | ((result < 0) & np.stack([one.conflict for one in spaces]).any(axis=0))
    conflict |= (result < 0) & ((codes >= 0) & (codes != codes.max(axis=0))).any(axis=0)
    return Labels(
        spaces[0].classes,
        result,
        best.astype(np.int32),
        np.where(best >= 0, score, -np.inf),
        np.where(supporting, second, scores).max(axis=0),
        conflict,
    )


def cohen_kappa(a: NDArray[np.int32], b: NDArray[np.int32]) -> float:
    """Return the agreement of two lists of codes beyond chance (Cohen 1960); nan where chance alone explains all."""
    if len(a) == 0:
        return float("nan")
    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    one, other = (np.bincount(part, minlength=len(values)) / len(a) for part in (codes[: len(a)], codes[len(a) :]))
    chance = float(one @ other)
    return (float((a == b).mean()) - chance) / (1 - chance) if chance < 1 else float("nan")


def _correlation(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Pearson correlation between the rows of `scores` (spaces, n) over columns that are finite in all."""
    finite = scores[:, np.isfinite(scores).all(axis=0)]
    if finite.shape[1] < 2:
        return np.full((len(scores), len(scores)), np.nan)
    centred = finite - finite.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1))
    product = np.outer(lengths, lengths)
    return np.divide(centred @ centred.T, product, out=np.full(product.shape, np.nan), where=product > 0)
