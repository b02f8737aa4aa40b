"""What every labeler takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Rows(Protocol):
    """Unit vectors float32 (n, dim), perhaps mapped or gathered on demand: only slices of rows are read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Gathered:
    """The rows `places` int64 (n,) of `matrix` float32 (rows, dim), copied only as they are read."""

    matrix: NDArray[np.float32]
    places: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.places), self.matrix.shape[1]

    def __getitem__(self, rows: slice, /) -> NDArray[np.float32]:
        return self.matrix[self.places[rows]]


@dataclass(frozen=True)
class Exemplars:
    """What is known: row i of `matrix` float32 (m, dim) is an example of class `codes[i]`, int32 (m,).

    Where `polarity`, bool (m,), is False it is an example of what the class is not. Raises `ValueError` unless every
    class has a positive exemplar.
    """

    classes: tuple[str, ...]
    matrix: NDArray[np.float32]
    codes: NDArray[np.int32]
    polarity: NDArray[np.bool_]

    def __post_init__(self) -> None:
        m = len(self.matrix)
        if self.matrix.ndim != 2 or self.codes.shape != (m,) or self.polarity.shape != (m,):
            shapes = self.matrix.shape, self.codes.shape, self.polarity.shape
            raise ValueError(f"exemplars, codes and polarity have shapes {shapes}, not (m, dim), (m,), (m,)")
        if m == 0:
            raise ValueError("there is no exemplar")
        if self.polarity.dtype != bool:
            raise ValueError(f"polarity is {self.polarity.dtype}, not bool")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"a class is named twice: {', '.join(self.classes)}")
        if self.codes.min() < 0 or self.codes.max() >= len(self.classes):
            raise ValueError(f"codes go from {self.codes.min()} to {self.codes.max()}: {len(self.classes)} classes")
        if not np.isfinite(self.matrix).all():
            raise ValueError("an exemplar is not finite")
        without = set(range(len(self.classes))) - set(self.codes[self.polarity].tolist())
        if without:
            raise ValueError(f"no positive exemplar of {', '.join(self.classes[code] for code in sorted(without))}")

    def in_order(self) -> Exemplars:
        """Return them positives first, by class, then by their bytes, so that no answer depends on who came first."""
        matrix = np.ascontiguousarray(self.matrix, np.float32)
        keys = matrix.view(f"S{matrix.itemsize * matrix.shape[1]}").ravel()
        order = np.argsort(keys, kind="stable")
        order = order[np.lexsort((self.codes[order], ~self.polarity[order]))]
        return Exemplars(self.classes, matrix[order], self.codes[order].astype(np.int32), self.polarity[order])


@dataclass(frozen=True)
class Labels:
    """An answer for each of n rows, and the evidence for it.

    codes      int32 (n,), the class, −1 for none
    best       int32 (n,), the class with the highest score, accepted or not; −1 where every class is ruled out
    scores     float64 (n,), the score of `best`; −inf where there is none
    runner_up  float64 (n,), the score of the second class; −inf where there is none
    conflict   bool (n,), the threshold was met, but not clearly enough by one class
    """

    classes: tuple[str, ...]
    codes: NDArray[np.int32]
    best: NDArray[np.int32]
    scores: NDArray[np.float64]
    runner_up: NDArray[np.float64]
    conflict: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.codes)


def joined(parts: Sequence[Labels]) -> Labels:
    """Return the labels of consecutive blocks of rows as one."""
    fields = ("codes", "best", "scores", "runner_up", "conflict")
    return Labels(parts[0].classes, *(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def thresholds(threshold: ArrayLike, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return a threshold for each class from one for all or one for each; raise `ValueError` for anything else."""
    values = np.asarray(threshold, np.float64)
    if values.shape not in ((), (len(classes),)) or np.isnan(values).any():
        raise ValueError(f"threshold is {values}: not one number, nor one for each of {len(classes)} classes")
    return np.broadcast_to(values, (len(classes),))


def require_margin(margin: float) -> None:
    """Raise `ValueError` unless `margin` is a number that is not negative."""
    if not margin >= 0:
        raise ValueError(f"margin is {margin}, must be at least 0")


def ranked(votes: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the first and the second class of each column of `votes` (classes, b); −1 where a vote is −inf."""
    columns = np.arange(votes.shape[1])
    first = votes.argmax(axis=0)
    others = votes.copy()
    others[first, columns] = -np.inf
    second = others.argmax(axis=0)
    valid = [np.where(votes[one, columns] > -np.inf, one, -1).astype(np.int32) for one in (first, second)]
    valid[1][others[second, columns] == -np.inf] = -1
    return valid[0], valid[1]


def at(scores: NDArray[np.float64], codes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the score of class `codes[i]` in column i of `scores` (classes, b), −inf for code −1."""
    return np.where(codes >= 0, scores[codes, np.arange(len(codes))], -np.inf)


def decide(
    scores: NDArray[np.float64], thresholds: NDArray[np.float64], margin: float, classes: tuple[str, ...]
) -> Labels:
    """Return the labels of rows whose class scores are the columns of `scores` (classes, b).

    The best class of all is accepted if its score is at least its threshold, above the second and at least `margin`
    above it. It is chosen before any threshold is looked at: raising one never gives a row another label.
    """
    best, second = ranked(scores)
    score, runner_up = at(scores, best), at(scores, second)
    met = (best >= 0) & (score >= thresholds[best])
    # What is ruled out altogether has no distance.
    gap = np.subtract(score, runner_up, out=np.zeros_like(score), where=best >= 0)
    clear = (score > runner_up) & (gap >= margin)
    codes = np.where(met & clear, best, -1).astype(np.int32)
    return Labels(classes, codes, best, score, runner_up, met & ~clear)
