"""How good a ranking is where it is known who is relevant: average precision, precision and recall at k.

A ranking is given as bool (q, n): `relevant[i, r]` says whether the row at rank r of query i was looked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def average_precision(relevant: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the precisions at the ranks of the relevant rows, float64 (q,), over the whole ranking.

    That is the average precision of TREC (Buckley & Voorhees 2000), not interpolated; nan for a query that nothing is
    relevant to.
    """
    hits = np.cumsum(_checked(relevant), axis=1)
    precisions = np.where(relevant, hits / np.arange(1, relevant.shape[1] + 1), 0.0)
    return _share(precisions.sum(axis=1), hits[:, -1])


def precision_at(relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Return the share of the first `k` ranks that is relevant, float64 (q,); of fewer ranks, of those there are."""
    first = _checked(relevant)[:, : _positive(k)]
    return first.mean(axis=1)


def recall_at(relevant: NDArray[np.bool_], k: int) -> NDArray[np.float64]:
    """Return the share of the relevant rows that the first `k` ranks hold, float64 (q,); nan where there are none."""
    first = _checked(relevant)[:, : _positive(k)]
    return _share(first.sum(axis=1), relevant.sum(axis=1))


def expected_average_precision(relevant: NDArray[np.int64] | int, rows: int) -> NDArray[np.float64]:
    """Return what `average_precision` is on average over all orders of `rows` rows of which so many are relevant.

    A relevant row at rank i sees (i − 1)(R − 1)/(n − 1) relevant ones before it: with the n-th harmonic number H
    that is (H + (n − H)(R − 1)/(n − 1)) / n. nan where none is relevant.
    """
    R = np.asarray(relevant, np.float64)
    harmonic = float((1 / np.arange(1, rows + 1)).sum())
    pairs = (R - 1) / (rows - 1) if rows > 1 else np.zeros_like(R)
    return np.where(R > 0, (harmonic + (rows - harmonic) * pairs) / rows, np.nan)


def _checked(relevant: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if relevant.ndim != 2 or relevant.dtype != bool or relevant.shape[1] == 0:
        raise ValueError(f"a ranking is bool (queries, rows), not {relevant.dtype} {relevant.shape}")
    return relevant


def _positive(k: int) -> int:
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    return k


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
