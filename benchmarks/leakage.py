"""The leakage guard: images of the test split that are near duplicates of one of the training split.

The rule is that of `engine dedupe`: cosine of the bundled network at or above its threshold. Images whose bytes are in
both splits are one image of the store, and count in any case.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from benchmarks.spaces import view
from benchmarks.stores import NETWORK
from benchmarks.subject import Subject
from engine.neighbors.dedupe import THRESHOLD
from engine.progress import Progress
from indexers.flat import FlatIndex


@dataclass(frozen=True)
class Leaks:
    """`leaked` bool (judged,) marks images that a training image is like; `identical` counts those of equal bytes."""

    leaked: NDArray[np.bool_]
    identical: int
    space: str = NETWORK
    threshold: float = THRESHOLD

    def facts(self) -> dict[str, float | int | str]:
        """Return what a row says of them."""
        return {
            "space": self.space,
            "threshold": self.threshold,
            "images": len(self.leaked),
            "near_duplicates": int(np.count_nonzero(self.leaked)),
            "identical": self.identical,
        }


def leaks(subject: Subject, progress: Progress) -> Leaks | None:
    """Return the judged images that are near duplicates of training images; None where it cannot be known.

    That is without a training split, and in a user's store without the network's vectors.
    """
    if not (subject.train.any() and subject.test.any()):
        return None
    try:
        seen = view(subject, NETWORK, progress)
    except Unavailable:
        return None
    rows = subject.judged
    both = subject.train[rows]
    train = FlatIndex(seen.take(np.flatnonzero(subject.train & ~subject.test)))
    found = train.search(seen.take(rows), 1)
    near = np.array([len(one) > 0 and one.scores[0] >= THRESHOLD for one in found])
    return Leaks(both | near, int(np.count_nonzero(both)))
