"""Groups in which every pair meets a threshold: complete linkage, cut."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def complete_link(pairs: NDArray[np.int64], scores: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Return the groups, of two items or more, each sorted, the largest first and those of a size by first item.

    `pairs` (p, 2) are all pairs of items that meet the threshold, each once, with their `scores` (p,). Going through
    them by falling score, two groups become one when the last of their cross pairs is met: the agglomeration that
    joins the two groups whose most distant pair is the closest (Sørensen 1948), stopped at the threshold. Equal scores
    are taken by position. Raises `ValueError` for an item paired with itself and for a pair that is given twice.
    """
    if pairs.shape != (len(scores), 2):
        raise ValueError(f"pairs have shape {pairs.shape}, scores {scores.shape}")
    low, high = np.minimum(*pairs.T), np.maximum(*pairs.T)
    if (low == high).any() or len(np.unique(low * (high.max(initial=0) + 1) + high)) < len(pairs):
        raise ValueError("an item is paired with itself, or a pair is given twice")
    order = np.lexsort((high, low, -scores))
    groups = _Groups(np.unique(pairs).tolist())
    for one, other in zip(low[order].tolist(), high[order].tolist(), strict=True):
        groups.meet(one, other)
    found = [np.array(sorted(members)) for members in groups.members.values() if len(members) > 1]
    return sorted(found, key=lambda members: (-len(members), members[0]))


class _Groups:
    """Which group each item is in, and how many pairs between any two groups have been met."""

    def __init__(self, items: Iterable[int]) -> None:
        self.members = {item: [item] for item in items}
        self.group = {item: item for item in self.members}
        self.met: dict[int, dict[int, int]] = {item: {} for item in self.members}

    def meet(self, one: int, other: int) -> None:
        a, b = self.group[one], self.group[other]
        count = self.met[a].get(b, 0) + 1
        self.met[a][b] = self.met[b][a] = count
        if count == len(self.members[a]) * len(self.members[b]):
            self._join(a, b)

    def _join(self, a: int, b: int) -> None:
        if len(self.members[a]) < len(self.members[b]):
            a, b = b, a
        for item in self.members[b]:
            self.group[item] = a
        self.members[a] += self.members.pop(b)
        for c, count in self.met.pop(b).items():
            del self.met[c][b]
            if c != a:
                total = self.met[a].get(c, 0) + count
                self.met[a][c] = self.met[c][a] = total
