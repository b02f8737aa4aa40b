"""A row belongs to the class whose mean is closest (Rocchio 1971 without its negative part)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from labelers import nearest
from labelers.base import Exemplars, Labels, Rows


def label(X: Rows, exemplars: Exemplars, *, threshold: ArrayLike, margin: float = 0.0) -> Labels:
    """Return labels of unit rows `X` (n, dim); a class's score is the cosine with the mean of its positive exemplars.

    Negative exemplars stay single, or a few far ones would bend the mean: a row at least as close to one of them as
    to the mean is not of that class. The rest is as in `nearest`. Raises `ValueError` also where positive exemplars
    cancel each other.
    """
    return nearest.label(X, means(exemplars), threshold=threshold, margin=margin)


def means(exemplars: Exemplars) -> Exemplars:
    """Return one positive exemplar a class, the mean of its own at unit length, and the negative ones as they are."""
    known = exemplars.in_order()
    centres = []
    for code, name in enumerate(known.classes):
        mean = known.matrix[(known.codes == code) & known.polarity].mean(axis=0, dtype=np.float64)
        length = np.linalg.norm(mean)
        if length < np.finfo(np.float32).eps:
            raise ValueError(f"the exemplars of {name} cancel each other: they have no mean direction")
        centres.append((mean / length).astype(np.float32))
    negatives = ~known.polarity
    codes = np.arange(len(known.classes), dtype=np.int32)
    return Exemplars(
        known.classes,
        np.concatenate([np.stack(centres), known.matrix[negatives]]),
        np.concatenate([codes, known.codes[negatives]]),
        np.arange(len(codes) + np.count_nonzero(negatives)) < len(codes),
    )
