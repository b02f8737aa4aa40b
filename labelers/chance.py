"""The mutual information that two groupings of given sizes share by chance (Vinh, Epps & Bailey 2010)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def expected_information(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Return the expected mutual information, in nats, of groups of sizes `first` and `second` dealt out at random.

    Groups of one size count alike, so that a million groups of one row cost no more than one.
    """
    from scipy.special import gammaln

    n = int(first.sum())
    factorial = gammaln(np.arange(n + 1) + 1.0)
    (some, often), (others, weight) = (np.unique(sizes[sizes > 0], return_counts=True) for sizes in (first, second))
    if len(some) > len(others):
        (some, often), (others, weight) = (others, weight), (some, often)
    return sum(
        float(times) * _shared(int(size), others, weight, factorial) for size, times in zip(some, often, strict=True)
    )


def _shared(size: int, others: NDArray[np.int64], weight: NDArray[np.int64], factorial: NDArray[np.float64]) -> float:
    """Return what one group of `size` rows adds: how many rows it shares with another is hypergeometric."""
    n = len(factorial) - 1
    mean = size * others / n
    variance = mean * (1 - size / n) * (n - others) / max(1, n - 1)
    # What lies further from the mean weighs less than e^-60 (Bernstein's inequality).
    reach = 12 * np.sqrt(variance) + 60
    low = np.maximum(np.maximum(1, size + others - n), np.floor(mean - reach).astype(np.int64))
    high = np.minimum(np.minimum(size, others), np.ceil(mean + reach).astype(np.int64))
    lengths = high - low + 1
    ends = np.cumsum(lengths)
    shared = np.arange(ends[-1]) - np.repeat(ends - lengths - low, lengths)
    other = np.repeat(others, lengths)
    chosen = factorial[size] + factorial[n - size] - factorial[n] + factorial[other] + factorial[n - other]
    ways = factorial[shared] + factorial[size - shared] + factorial[other - shared]
    probability = np.exp(chosen - ways - factorial[n - size - other + shared])
    information = shared / n * np.log(n * shared / (float(size) * other))
    return float((np.repeat(weight, lengths) * probability * information).sum())
