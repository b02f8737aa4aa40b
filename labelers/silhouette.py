"""The silhouette of groups of unit rows, with distance 1 − cosine (Rousseeuw 1987)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Rows whose vectors are widened to float64 at a time, and cosines that are held at a time.
ROWS = 8192
CELLS = 2**22


def silhouette(X: NDArray[np.float32], codes: NDArray[np.int32], *, rng: np.random.Generator, sample: int) -> float:
    """Return the mean silhouette of the rows that have a group, code −1 being none, over `sample` of them at most.

    Each sampled row is compared with all others: a mean distance to a group needs only the sum of its vectors. A row
    that is alone in its group has width 0. nan for fewer than two groups. Raises `ValueError` for a vector that is not
    finite.
    """
    own = codes.astype(np.int64)
    groups, own[codes >= 0] = np.unique(codes[codes >= 0], return_inverse=True)
    if len(groups) < 2:
        return float("nan")
    counts = np.bincount(own[own >= 0])
    # A group of one is its vector; sums are kept of the others alone, of which there are not as many.
    large = np.flatnonzero(counts > 1)
    place = np.full(len(groups), -1)
    place[large] = np.arange(len(large))
    member = np.where(own >= 0, place[own], -1)
    sums = _sums(X, member, len(large))
    lonely = np.flatnonzero((own >= 0) & (member < 0))
    judged = _some(np.flatnonzero(own >= 0), sample, rng)
    within = judged[member[judged] >= 0]
    step = max(1, CELLS // max(len(large), ROWS))
    blocks = [within[start : start + step] for start in range(0, len(within), step)]
    return sum(_widths(X, rows, member[rows], sums, counts[large], lonely).sum() for rows in blocks) / len(judged)


def _widths(
    X: NDArray[np.float32],
    rows: NDArray[np.int64],
    own: NDArray[np.int64],
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    lonely: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the silhouette of each of `rows`, members of the groups `own`; `lonely` are the rows alone in theirs."""
    unit = X[rows].astype(np.float64)
    every = np.arange(len(rows))
    distances = counts - unit @ sums.T
    # A row's distance to itself is none; rounding must not count.
    within = (distances[every, own] - (1 - (unit * unit).sum(axis=1))) / (counts[own] - 1)
    distances /= counts
    distances[every, own] = np.inf
    between = distances.min(axis=1)
    for start in range(0, len(lonely), ROWS):
        others = X[lonely[start : start + ROWS]].astype(np.float64)
        np.minimum(between, 1 - (unit @ others.T).max(axis=1), out=between)
    largest = np.maximum(within, between)
    return np.divide(between - within, largest, out=np.zeros_like(between), where=largest > 0)


def _sums(X: NDArray[np.float32], member: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Return the sum of the rows of each group, float64 (groups, dim), −1 being none."""
    from scipy.sparse import csr_matrix

    sums = np.zeros((groups, X.shape[1]))
    for start in range(0, len(X), ROWS):
        block = X[start : start + ROWS].astype(np.float64)
        if not np.isfinite(block).all():
            raise ValueError("a vector is not finite")
        rows = np.flatnonzero(member[start : start + ROWS] >= 0)
        owners = member[start : start + ROWS][rows]
        sums += csr_matrix((np.ones(len(rows)), (owners, rows)), shape=(groups, len(block))) @ block
    return sums


def _some(rows: NDArray[np.int64], sample: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= sample else np.sort(rng.choice(rows, sample, replace=False))
