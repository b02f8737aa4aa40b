"""The leakage guard: images of the test split that are near duplicates of one of the training split.

Two images are, if their cosine in the bundled network is at or above the threshold of `engine dedupe`, or if it comes
near it and their pixels agree as well: small pictures that were shifted, toned or encoded again lie below the first.
Images whose bytes are in both splits are one image of the store, and count in any case.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from benchmarks.subjects.pixels import thumbnails
from benchmarks.subjects.spaces import view
from benchmarks.subjects.stores import NETWORK
from benchmarks.subjects.subject import Subject
from benchmarks.subjects.views import How, View, digest, kept
from engine.neighbors.dedupe import THRESHOLD
from engine.progress import Progress
from indexers.flat import FlatIndex

# Chosen by eye on pairs of CIFAR-10: of 16 drawn above both, 15 were the same picture.
NEAR, CORRELATION = 0.85, 0.9
# So many training images next to each are looked at.
NEIGHBOURS = 3
PAIRS = 2000


@dataclass(frozen=True)
class Leaks:
    """`leaked` bool (judged,) marks images that a training image is like; `identical` counts those of equal bytes."""

    leaked: NDArray[np.bool_]
    identical: int

    def facts(self) -> dict[str, Any]:
        """Return what a row says of them."""
        return {
            "space": NETWORK,
            "threshold": THRESHOLD,
            "near": {"cosine": NEAR, "correlation": CORRELATION},
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
        seen = view(subject, NETWORK, How(progress))
    except Unavailable:
        return None
    both = subject.train[subject.judged]
    # Several suites ask, and comparing two splits takes longer than most of what they measure.
    rule = digest(json.dumps([subject.data, seen.fingerprint, THRESHOLD, NEAR, CORRELATION, NEIGHBOURS]))
    find = partial(near_duplicates, seen, subject.judged, np.flatnonzero(subject.train))
    return Leaks(both | kept(subject.folder / f"near-{rule}.npy", find), int(both.sum()))


def near_duplicates(seen: View, rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of `rows` of a subject are near duplicates of one of `others`, bool (len(rows),)."""
    found = FlatIndex(seen.take(others)).search(seen.take(rows), NEIGHBOURS)
    place = np.repeat(np.arange(len(rows)), [len(one) for one in found])
    near = others[np.concatenate([one.positions for one in found])]
    scores = np.concatenate([one.scores for one in found])
    same = scores >= THRESHOLD
    unsure = np.flatnonzero((scores >= NEAR) & ~same)
    same[unsure] = _correlations(seen.subject, rows[place[unsure]], near[unsure]) >= CORRELATION
    leaked = np.zeros(len(rows), bool)
    leaked[place[same]] = True
    return leaked


def _correlations(subject: Subject, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the correlation of the pixels of pairs of pictures at 32 × 32, 0 for a picture of one colour."""
    found = np.zeros(len(one))
    for start in range(0, len(one), PAIRS):
        some = slice(start, start + PAIRS)
        a, b = (_centred(thumbnails(subject.store, subject.ids[rows[some]])) for rows in (one, other))
        found[some] = (a * b).sum(axis=1)
    return found


def _centred(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    away = pixels.astype(np.float64) - pixels.mean(axis=1, keepdims=True, dtype=np.float64)
    norms = np.linalg.norm(away, axis=1, keepdims=True)
    return np.divide(away, norms, out=np.zeros_like(away), where=norms > 0)
