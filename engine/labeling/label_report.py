"""How many images a run labelled, with which scores, and how right it is where truth is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.store.vectors import id_array, sort_key
from labelers import Labels
from labelers.metrics import Report, report

if TYPE_CHECKING:
    import pyarrow as pa

# An image whose truth nobody knows; -1 is one that is of none of the classes.
UNKNOWN = -2


@dataclass(frozen=True)
class ClassReport:
    """One class of a run. Scores are those of the images labelled as it; None where there is none to speak of.

    `exemplars` of the labelled images are those that it started from; `closest` is the score of the closest image that
    got no label.

    Precision and recall are taken where truth is known, exemplars left out; `low` and `high` are their 95 % intervals.
    `support` is the number of members that could be found.
    """

    labelled: int
    coverage: float
    threshold: float | None
    score_low: float | None
    score_high: float | None
    exemplars: int = 0
    closest: float | None = None
    support: int | None = None
    precision: float | None = None
    precision_low: float | None = None
    precision_high: float | None = None
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None


@dataclass(frozen=True)
class Truth:
    """What images are, as codes of some classes: `keys` ascend, as `sort_key` makes them.

    `named` are the codes of the classes that it knows.
    """

    keys: NDArray[np.bytes_]
    values: NDArray[np.int32]
    named: frozenset[int]

    @classmethod
    def of(cls, rows: pa.Table, classes: tuple[str, ...]) -> Truth:
        """Return the truth in a table of id and label; another label is none of the classes, two make it unknown."""
        import pyarrow as pa
        import pyarrow.compute as pc

        found = pc.index_in(rows["label"], value_set=pa.array(classes, pa.string()))
        values = pc.fill_null(found, -1).to_numpy().astype(np.int32)
        keys = sort_key(id_array(rows["id"]))
        order = np.lexsort((values, keys))
        keys, values = keys[order], values[order]
        # Sorted by value within an image: it has two if its first and its last differ.
        first, last = (np.searchsorted(keys, keys, side) for side in ("left", "right"))
        named = frozenset(np.unique(values).tolist()) - {-1}
        return cls(keys, np.where(values[first] == values[last - 1], values, UNKNOWN).astype(np.int32), named)

    def codes(self, ids: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the truth of each of `ids` (n, 32)."""
        if len(self.keys) == 0:
            return np.full(len(ids), UNKNOWN, np.int32)
        wanted = sort_key(ids)
        found = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[found] == wanted, self.values[found], UNKNOWN).astype(np.int32)


def reports(
    answer: Labels,
    rest: NDArray[np.bool_],
    rest_name: str | None,
    truth: NDArray[np.int32],
    named: frozenset[int],
    own: NDArray[np.bool_],
    threshold: float,
) -> dict[str, ClassReport]:
    """Return a report for each class, and for the rest if it has a name.

    `truth` int32 (n,) is as `Truth.codes` gives it, `named` as it has it: a class that the truth has no word for cannot
    be compared with it. `own` bool (n,) marks exemplars, which are not judged.
    """
    names = [*answer.classes, *([rest_name] if rest_name is not None else [])]
    codes = np.where(rest, len(answer.classes), answer.codes).astype(np.int32)
    judged = (truth != UNKNOWN) & ~own
    right = truth[judged]
    if rest_name is not None:
        right = np.where(right < 0, len(answer.classes), right).astype(np.int32)
    measured = report(right, codes[judged], classes=len(names)) if judged.any() else None
    found = {}
    for code, name in enumerate(names):
        near = (answer.best == code) & (answer.codes < 0) & ~own
        counted = _counted(codes == code, answer.scores, threshold, own=own, near=near)
        if code == len(answer.classes):
            # Nothing says how close an image is to no class.
            counted = replace(counted, threshold=None, score_low=None, score_high=None, closest=None)
        # The rest is right of everything where the truth knows none of the classes: that says nothing.
        comparable = code in named or (code == len(answer.classes) and bool(named))
        found[name] = _measured(counted, measured, code) if measured is not None and comparable else counted
    return found


def _counted(
    labelled: NDArray[np.bool_],
    scores: NDArray[np.float64],
    threshold: float,
    *,
    own: NDArray[np.bool_],
    near: NDArray[np.bool_],
) -> ClassReport:
    theirs = scores[labelled]
    low, high = (float(theirs.min()), float(theirs.max())) if len(theirs) else (None, None)
    closest = number_or_none(scores[near].max()) if near.any() else None
    share = len(theirs) / max(1, len(labelled))
    return ClassReport(
        len(theirs), share, number_or_none(threshold), low, high, int(np.count_nonzero(labelled & own)), closest
    )


def _measured(counted: ClassReport, measured: Report, code: int) -> ClassReport:
    (precision_low, precision_high), (recall_low, recall_high) = (
        map(number_or_none, interval[code]) for interval in (measured.precision_interval, measured.recall_interval)
    )
    return replace(
        counted,
        support=int(measured.support[code]),
        precision=number_or_none(measured.precision[code]),
        precision_low=precision_low,
        precision_high=precision_high,
        recall=number_or_none(measured.recall[code]),
        recall_low=recall_low,
        recall_high=recall_high,
    )


def apart(score: float, threshold: float | None) -> str:
    """Return a score with four digits, or with as many more as keep it on its side of the threshold."""
    for digits in range(4, 17):
        text = f"{score:.{digits}f}"
        if threshold is None or (float(text) >= threshold) == (score >= threshold):
            break
    return text


def number_or_none(value: float) -> float | None:
    """Return a float, None for nan."""
    return None if math.isnan(value) else float(value)
