"""Choice: which index for how many rows and how much memory."""

from __future__ import annotations

import math

from indexers.ivf import LEAST_A_LIST
from indexers.ivfpq import IVFPQParams
from indexers.pq import PQParams

# Numbers that an exact scan reads in a few milliseconds: 50,000 rows of 512.
FLAT_NUMBERS = 50_000 * 512
# Lists in units of √n: the more there are the fewer rows a query meets, and the longer it takes to find the right ones.
# Codes are so short that many lists pay; of whole rows, few lists are read as quickly.
COARSE, FINE = 2, 16
# Finding the lists takes time that grows with their square.
MOST_LISTS = 2**15
Params = IVFPQParams | PQParams | None


def choose(n: int, dim: int, *, memory: int | None = None) -> list[tuple[str, Params]]:
    """Return (kind, parameters) to build for `n` rows of `dim`; the quickest that reaches the recall wanted is best.

    Flat alone where every row can be compared in a few milliseconds. Else short codes: all of them read from end to end
    (pq), and in many inverted lists (ivfpq), which win where the rows are many and lie in clusters; only a measurement
    shows it (docs/benchmarks.md). `memory` is what an index may take, in bytes (None: any amount). Flat is the end of
    every list: it is exact and takes no memory, only time.
    """
    if n * dim <= FLAT_NUMBERS:
        return [("flat", None)]
    lists = IVFPQParams(lists_for(n, FINE))
    codes = n * dim // (2 * PQParams().width)
    # Beside its code a row of a list has its number there; a centre is kept as it is and as a code.
    sizes: list[tuple[str, Params, int]] = [
        ("pq", PQParams(), codes),
        ("ivfpq", lists, codes + 8 * n + 5 * dim * lists.lists),
    ]
    return [*((kind, params) for kind, params, size in sizes if memory is None or size <= memory), ("flat", None)]


def lists_for(n: int, roots: int = COARSE) -> int:
    """Return about `roots`·√n as a power of two, but no more lists than `n` rows can train, nor `MOST_LISTS`."""
    most = min(max(1, n // LEAST_A_LIST), MOST_LISTS)
    return 2 ** min(round(math.log2(roots * math.sqrt(max(n, 1)))), int(math.log2(most)))
