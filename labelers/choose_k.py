"""How many clusters: the number on a ladder for which the silhouette of a sample is best (Rousseeuw 1987)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labelers.silhouette import silhouette

SAMPLE = 10_000
MOST = 512


def ladder(n: int) -> list[int]:
    """Return the numbers of clusters to try for n rows: 2, 3, 4, 6, 8, 11, 16, … by √2, at most n / 2 and 512."""
    steps = sorted({round(2 ** (half / 2)) for half in range(2, 19)})
    return [k for k in steps if k <= min(MOST, n // 2)] or [min(2, n)]


def by_silhouette(
    X: NDArray[np.float32], cut: Callable[[NDArray[np.float32], int], NDArray[np.int32]], *, seed: int
) -> int:
    """Return the k of `ladder` whose clusters `cut(rows, k)` of up to 10,000 rows have the best silhouette.

    The smallest of several that are as good. Raises `ValueError` where no number gives two clusters.
    """
    rng = np.random.default_rng(seed)
    n = X.shape[0]
    rows = X[np.sort(rng.choice(n, SAMPLE, replace=False))] if n > SAMPLE else X[0:n]
    # Cosines need unit rows, which those that were reduced are not.
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found = {k: silhouette(unit, cut(rows, k), rng=np.random.default_rng(seed), sample=SAMPLE) for k in ladder(n)}
    known = {k: width for k, width in found.items() if not np.isnan(width)}
    if not known:
        raise ValueError("no number of clusters tells the rows apart")
    return max(known, key=lambda k: (round(known[k], 6), -k))
