"""Tuning: the least effort that reaches a recall."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from indexers.base import Index, Neighbors
from indexers.metrics import recall


@dataclass(frozen=True)
class Tuned:
    """Recall@k at an effort, measured; `effort` is None for an index that has none to tune."""

    k: int
    effort: int | None
    recall: float
    reached: bool


def tune(index: Index, Q: NDArray[np.float32], truth: Sequence[Neighbors], *, target: float, k: int) -> Tuned:
    """Return the least effort whose recall@k on `Q` reaches `target`, or else the least with the best recall.

    Recall grows with effort, so the ladder is halved until one rung is left. `truth` are the exact answers for `Q`, of
    at least `k` rows where there are as many. Raises `ValueError` for a target outside 0 … 1.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"the target is {target}, a recall lies between 0 and 1")

    @cache
    def measured(effort: int | None) -> float:
        return recall(index.search(Q, k, effort=effort), truth, k)

    ladder: tuple[int | None, ...] = index.efforts() or (None,)

    def least(wanted: float) -> int | None:
        return ladder[min(bisect_left(ladder, True, key=lambda one: measured(one) >= wanted), len(ladder) - 1)]

    effort = least(target)
    reached = measured(effort) >= target
    if not reached:
        effort = least(measured(effort))
    return Tuned(k, effort, measured(effort), reached)
