"""How sure a difference is: rows, or whole classes of rows, are drawn again and again (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
# With fewer classes than this there is little to draw from: rows are drawn then.
MANY = 10


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % interval; `over` says what was drawn, and `units` of how many."""

    mean: float
    low: float
    high: float
    over: str
    units: int

    @property
    def certain(self) -> bool:
        """Say whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], codes: NDArray[np.int32], *, seed: int = 0
) -> Difference:
    """Return the mean of `first` − `second`, both (n,) of the same rows of classes `codes` (n,), with its interval.

    Rows of a class err together, so that classes are drawn where there are ten or more, with all their rows. The
    interval is that of percentiles. Raises `ValueError` for other lengths or no row.
    """
    if not len(first) == len(second) == len(codes) > 0:
        raise ValueError(f"{len(first)}, {len(second)} and {len(codes)} values cannot be compared row by row")
    gaps = first - second
    units = np.unique(codes, return_inverse=True)[1]
    over = "classes"
    if units.max() + 1 < MANY:
        units, over = np.arange(len(gaps)), "images"
    sums, counts = np.bincount(units, gaps), np.bincount(units)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for place in range(RESAMPLES):
        drawn = rng.integers(len(sums), size=len(sums))
        means[place] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(float(gaps.mean()), float(low), float(high), over, len(sums))
