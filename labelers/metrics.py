"""How good labels are where truth is known: precision, recall, coverage, intervals, curves.

Truth and answers are codes int32 (n,), −1 for none of the classes. What is not defined is nan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 over several classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Report:
    """Labels beside the truth. Arrays have one value a class; intervals are (classes, 2), at 95 %.

    precision          nan where the class has no member, or nothing was labelled as it
    recall, f1         nan where the class has no member: of what the truth never names nothing can be measured
    support, labelled  members of the class; rows labelled as it
    coverage           rows labelled as the class, as a share of all rows; `covered` is their sum
    confusion          (classes + 1, classes + 1), truth by answer, the last for none
    macro              means over the classes where each is defined; micro: of the pooled counts
    accuracy           no label counts as an answer; balanced_accuracy: the mean recall, that of none included
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]
    labelled: NDArray[np.int64]
    coverage: NDArray[np.float64]
    precision_interval: NDArray[np.float64]
    recall_interval: NDArray[np.float64]
    macro: Averages
    micro: Averages
    covered: float
    accuracy: float
    balanced_accuracy: float
    confusion: NDArray[np.int64]


def report(truth: NDArray[np.int32], answer: NDArray[np.int32], *, classes: int) -> Report:
    """Return how `answer` compares with `truth`; raise `ValueError` for other lengths or codes."""
    table = confusion(truth, answer, classes=classes)
    correct = table.diagonal()[:-1]
    support, labelled = table.sum(axis=1), table.sum(axis=0)
    rows = table.sum()
    precision, recall, f1 = _rates(correct, support[:-1], labelled[:-1])
    nameless = support[:-1] == 0
    precision[nameless] = f1[nameless] = np.nan
    return Report(
        precision,
        recall,
        f1,
        support[:-1],
        labelled[:-1],
        ratio(labelled[:-1], rows),
        wilson(correct, np.where(nameless, 0, labelled[:-1])),
        wilson(correct, support[:-1]),
        Averages(*map(_mean, (precision, recall, f1))),
        Averages(*map(float, _rates(correct.sum(), support[:-1].sum(), labelled[:-1].sum()))),
        float(ratio(labelled[:-1].sum(), rows)),
        float(ratio(table.trace(), rows)),
        _mean(ratio(table.diagonal(), support)),
        table,
    )


def confusion(truth: NDArray[np.int32], answer: NDArray[np.int32], *, classes: int) -> NDArray[np.int64]:
    """Return how many rows of each truth got each answer, int64 (classes + 1, classes + 1), the last for none."""
    if truth.ndim != 1 or truth.shape != answer.shape:
        raise ValueError(f"truth has shape {truth.shape}, the answer {answer.shape}")
    for codes in (truth, answer):
        if codes.size and not (codes.min() >= -1 and codes.max() < classes):
            raise ValueError(f"codes go from {codes.min()} to {codes.max()}, there are {classes} classes")
    size = classes + 1
    # −1, for none, becomes the last.
    pairs = (truth.astype(np.int64) % size) * size + answer.astype(np.int64) % size
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def most_confused(table: NDArray[np.int64], number: int) -> list[tuple[int, int, int]]:
    """Return (truth, answer, count) of the pairs of two classes that a confusion matrix has most often, falling."""
    mistakes = table * ~np.eye(len(table), dtype=bool)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:number]
    rows, columns = (places.tolist() for places in np.unravel_index(order, table.shape))
    counts = mistakes.ravel()[order].tolist()
    return [pair for pair in zip(rows, columns, counts, strict=True) if pair[2]]


def wilson(successes: ArrayLike, trials: ArrayLike, *, z: float = Z95) -> NDArray[np.float64]:
    """Return the score interval of a proportion (..., 2), nan for no trials (Wilson 1927; Brown, Cai & DasGupta 2001).

    For a sample drawn at random; a threshold chosen by looking at the same rows breaks it.
    """
    n = np.asarray(trials, np.float64)
    share = ratio(successes, n)
    scale = ratio(1, 1 + ratio(z * z, n))
    centre = (share + ratio(z * z, 2 * n)) * scale
    half = z * scale * np.sqrt(ratio(share * (1 - share), n) + ratio(z * z, 4 * n * n))
    # At no and at all successes a bound is 0 or 1, but for rounding.
    return np.clip(np.stack([centre - half, centre + half], axis=-1), 0, 1)


@dataclass(frozen=True)
class Curve:
    """A curve over falling thresholds: point i holds if rows with `score >= thresholds[i]` are answered."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    thresholds: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Return the area under the curve by trapezoids, nan for fewer than two points."""
        return float(np.trapezoid(self.y, self.x)) if len(self.x) > 1 else float("nan")


def roc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Curve:
    """Return the false positive rate (x) and the true positive rate (y) at each distinct score, from (0, 0) on.

    `positive`, bool (n,), says who is of the class. nan without members of the class or without others.
    """
    hits, answered, levels = _cumulated(scores, positive)
    hits, answered, levels = (
        np.concatenate([[first], part]) for first, part in ((0, hits), (0, answered), (np.inf, levels))
    )
    return Curve(ratio(answered - hits, np.count_nonzero(~positive)), ratio(hits, np.count_nonzero(positive)), levels)


def precision_coverage(scores: NDArray[np.float64], correct: NDArray[np.bool_]) -> Curve:
    """Return the share of rows answered (x) and the precision of the answers (y) at each distinct score.

    `correct`, bool (n,), says which answers are right.
    """
    hits, answered, levels = _cumulated(scores, correct)
    return Curve(ratio(answered, len(scores)), ratio(hits, answered), levels)


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return part / whole, nan where `whole` is 0."""
    a, b = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)


def _cumulated(
    scores: NDArray[np.float64], hit: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return hits and rows at or above each distinct score, and the scores, falling."""
    if scores.ndim != 1 or scores.shape != hit.shape or hit.dtype != bool or np.isnan(scores).any():
        raise ValueError(f"scores {scores.shape} without nan and a mask {hit.shape} must have one length")
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    # Rows with one score are answered together.
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) if len(falling) else np.empty(0, np.int64)
    return np.cumsum(hit[order], dtype=np.int64)[last], last + 1, falling[last]


def _rates(
    correct: NDArray[np.int64], support: NDArray[np.int64], labelled: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    return ratio(correct, labelled), ratio(correct, support), ratio(2 * correct, support + labelled)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
