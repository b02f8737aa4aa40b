"""A row belongs to the class of its closest exemplar."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexers.exact import MARGIN as BORDER
from labelers.base import Exemplars, Labels, Rows, decide, require_margin, thresholds
from labelers.scan import again, blocks, scan

Float = TypeVar("Float", np.float32, np.float64)


def label(X: Rows, exemplars: Exemplars, *, threshold: ArrayLike, margin: float = 0.0) -> Labels:
    """Return labels of unit rows `X` (n, dim); a class's score is the highest cosine with its positive exemplars.

    A row that is at least as close to a negative exemplar of a class as to its positive ones is not of that class.
    `threshold` is one cosine or one for each class; the second class must be `margin` behind. Scores from the
    threshold up are exact (float64); lower ones are those of a float32 scan. Raises `ValueError` for shapes that do
    not fit, a row that is not finite, a threshold that is no number and a negative margin.
    """
    known = exemplars.in_order()
    least = thresholds(threshold, known.classes)
    require_margin(margin)

    def answer(rows: NDArray[np.float32], cosines: NDArray[np.float32]) -> Labels:
        near, far = _classwise(cosines, known)
        doubt = np.flatnonzero(((near >= least[:, None] - BORDER) | (np.abs(near - far) < 2 * BORDER)).any(axis=0))
        scores = np.where(near > far, near, -np.inf).astype(np.float64)
        scores[:, doubt] = _exact(rows[doubt], cosines[:, doubt], near[:, doubt], far[:, doubt], known)
        return decide(scores, least, margin, known.classes)

    return scan(X, known, answer)


def class_scores(X: Rows, exemplars: Exemplars) -> NDArray[np.float32]:
    """Return the score of every row of `X` (n, dim) in every class, (classes, n), from a float32 scan.

    −inf where a negative exemplar is as close. Raises `ValueError` as `label` does.
    """
    known = exemplars.in_order()
    result = np.empty((len(known.classes), X.shape[0]), np.float32)
    for start, rows, cosines in blocks(X, known):
        near, far = _classwise(cosines, known)
        result[:, start : start + len(rows)] = np.where(near > far, near, -np.inf)
    return result


def _classwise(cosines: NDArray[Float], known: Exemplars) -> tuple[NDArray[Float], NDArray[Float]]:
    """Return the highest cosine with each class's positives and negatives (classes, b), −inf where it has none."""
    positives = int(np.count_nonzero(known.polarity))
    near = _highest(cosines[:positives], known.codes[:positives], len(known.classes))
    return near, _highest(cosines[positives:], known.codes[positives:], len(known.classes))


def _highest(cosines: NDArray[Float], codes: NDArray[np.int32], classes: int) -> NDArray[Float]:
    """Return the highest cosine (classes, b) among the exemplars of each class; their `codes` ascend."""
    result = np.full((classes, cosines.shape[1]), -np.inf, cosines.dtype)
    starts = np.searchsorted(codes, np.arange(classes + 1))
    for code in np.unique(codes):
        # np.maximum.reduceat over the first axis takes many times as long.
        cosines[starts[code] : starts[code + 1]].max(axis=0, out=result[code])
    return result


def _exact(
    rows: NDArray[np.float32],
    cosines: NDArray[np.float32],
    near: NDArray[np.float32],
    far: NDArray[np.float32],
    known: Exemplars,
) -> NDArray[np.float64]:
    """Return class scores (classes, b) from float64 cosines of whatever may be the closest of the first two classes."""
    closest = np.where(known.polarity[:, None], near[known.codes], far[known.codes])
    certain = np.where(near > far + 2 * BORDER, near, -np.inf)
    # Of two certain classes or more, the second is the least that a class must reach to matter.
    least = np.partition(certain, -2, axis=0)[-2] if len(near) > 1 else np.float32(-np.inf)
    scores = cosines.astype(np.float64)
    matters = (near >= least - 2 * BORDER)[known.codes]
    again(scores, (cosines >= closest - 2 * BORDER) & matters, rows, known.matrix)
    near64, far64 = _classwise(scores, known)
    return np.where(near64 > far64, near64, -np.inf)
