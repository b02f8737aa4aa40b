"""Choice: which index for how many rows and how much memory."""

from __future__ import annotations

import math

from indexers.ivf import LEAST_A_LIST, IVFParams
from indexers.pq import PQParams

# Numbers that an exact scan reads in a few milliseconds: 50,000 rows of 512.
FLAT_NUMBERS = 50_000 * 512


def choose(n: int, dim: int, *, memory: int | None = None) -> list[tuple[str, IVFParams | PQParams | None]]:
    """Return (kind, parameters) to build for `n` rows of `dim`; the quickest that reaches the recall wanted is best.

    Flat alone where every row can be compared in a few milliseconds. Else PQ, whose codes are read from end to end, and
    the finest inverted lists that fit: those win where the rows are many or lie in clusters, which only a measurement
    shows (docs/benchmarks.md). `memory` is what a build may take, in bytes (None: any amount). Flat is the end of every
    list: it is exact and takes no memory, only time.
    """
    if n * dim <= FLAT_NUMBERS:
        return [("flat", None)]
    lists = lists_for(n)
    finest: list[tuple[IVFParams, int]] = [
        (IVFParams(lists, "fp32"), n * (4 * dim + 8)),
        (IVFParams(lists, "sq8"), n * (dim + 8)),
    ]
    codes = n * dim / (2 * PQParams().width)
    fitting = [params for params, size in finest if memory is None or size <= memory]
    small: list[tuple[str, IVFParams | PQParams | None]] = [("pq", PQParams())]
    return [
        *(small if memory is None or codes <= memory else []),
        *(("ivf", params) for params in fitting[:1]),
        ("flat", None),
    ]


def lists_for(n: int) -> int:
    """Return about 2·√n as a power of two, but no more lists than `n` rows can train."""
    most = max(1, n // LEAST_A_LIST)
    return 2 ** min(round(math.log2(2 * math.sqrt(max(n, 1)))), int(math.log2(most)))
