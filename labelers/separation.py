"""How well a space separates the labels one has. Measured on these labels, a promise for no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.base import Exemplars
from labelers.metrics import precision_coverage
from labelers.nearest import label
from labelers.silhouette import silhouette

SAMPLE = 2000
PAIRS = 10_000
# Rows compared with all at a time.
QUERIES = 256
# Rows of a class that are compared with each other.
OF_A_CLASS = 50


@dataclass(frozen=True)
class Needed:
    """The lowest threshold at which labels by nearest exemplar are as precise as asked, and what they then find.

    All are nan where no threshold is. `recall` is the share of the members of the classes that are found.
    """

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Separation:
    """What `separation` measured; `same` and `other` are sampled cosines of pairs, float64, ascending.

    `shares` float64 (s,) are the agreements of the sampled `rows` int64 (s,), whose mean is `knn_agreement`. The same
    codes and seed give the same rows in every space, so that spaces can be compared row by row.
    """

    knn_agreement: float
    shares: NDArray[np.float64]
    rows: NDArray[np.int64]
    silhouette: float
    same: NDArray[np.float64]
    other: NDArray[np.float64]
    needed: Needed


def separation(
    X: NDArray[np.float32], codes: NDArray[np.int32], *, k: int = 10, precision: float = 0.95, seed: int = 0
) -> Separation:
    """Return how well unit rows `X` (n, dim) of classes `codes` (n,), −1 for none, lie apart.

    Raises `ValueError` for shapes that do not fit and for fewer than two classes of two rows each.
    """
    if X.ndim != 2 or codes.shape != (len(X),):
        raise ValueError(f"vectors have shape {X.shape}, codes {codes.shape}")
    if np.count_nonzero(np.bincount(codes[codes >= 0]) >= 2) < 2:
        raise ValueError("two classes of two rows each are the least to tell apart")
    rng = np.random.default_rng(seed)
    same, other = pair_scores(X, codes, rng=rng)
    rows = _some(np.flatnonzero(codes >= 0), SAMPLE, rng)
    shares = neighbour_shares(X, codes, rows, k=k)
    return Separation(
        float(shares.mean()),
        shares,
        rows,
        silhouette(X, codes, rng=rng, sample=SAMPLE),
        same,
        other,
        threshold_needed(X, codes, precision=precision, rng=rng),
    )


def neighbour_shares(
    X: NDArray[np.float32], codes: NDArray[np.int32], rows: NDArray[np.int64], *, k: int
) -> NDArray[np.float64]:
    """Return for each of `rows` (s,) the share of the `k` nearest other rows that are of its class.

    From float32 cosines; of rows that are equally near any may count. Raises `ValueError` for a vector that is not
    finite.
    """
    k = min(k, len(X) - 1)
    shares = np.empty(len(rows))
    for start in range(0, len(rows), QUERIES):
        some = rows[start : start + QUERIES]
        cosines = X[some] @ X.T
        if not np.isfinite(cosines).all():
            raise ValueError("a vector is not finite")
        cosines[np.arange(len(some)), some] = -np.inf
        nearest = np.argpartition(cosines, -k, axis=1)[:, -k:]
        shares[start : start + QUERIES] = (codes[nearest] == codes[some, None]).mean(axis=1)
    return shares


def pair_scores(
    X: NDArray[np.float32], codes: NDArray[np.int32], *, rng: np.random.Generator, pairs: int = PAIRS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cosines of up to `pairs` random pairs of one class, and of a row of a class with one that is not of it.

    Float64, ascending. Every row with a class is as likely as another to be the first of a pair.
    """
    members = np.flatnonzero(codes >= 0)
    first = rng.choice(members, pairs)
    order = np.argsort(codes, kind="stable")
    starts, ends = (np.searchsorted(codes[order], codes[first], side) for side in ("left", "right"))
    partner = order[rng.integers(starts, ends)]
    alike = partner != first
    stranger = rng.integers(0, len(codes), pairs)
    apart = codes[stranger] != codes[first]
    return _cosines(X, first[alike], partner[alike]), _cosines(X, first[apart], stranger[apart])


def threshold_needed(
    X: NDArray[np.float32],
    codes: NDArray[np.int32],
    *,
    precision: float,
    rng: np.random.Generator,
    exemplars: int = 1,
    draws: int = 10,
    sample: int = SAMPLE,
) -> Needed:
    """Return the threshold for `precision` when a sample of the rows is labelled from `exemplars` random ones a class.

    Every draw chooses exemplars and sample anew; their scores are pooled. Classes without a row to spare are left out,
    their rows counted as none.
    """
    large = np.flatnonzero(np.bincount(codes[codes >= 0]) > exemplars)
    wanted = np.where(np.isin(codes, large), np.searchsorted(large, codes), -1).astype(np.int32)
    scores, correct, members = [], [], 0
    for _ in range(draws):
        chosen = np.concatenate([rng.choice(np.flatnonzero(wanted == c), exemplars, False) for c in range(len(large))])
        known = Exemplars(tuple(map(str, large)), X[chosen], wanted[chosen], np.ones(len(chosen), bool))
        rest = _some(np.setdiff1d(np.arange(len(X)), chosen), sample, rng)
        found = label(X[rest], known, threshold=-1.0)
        # What ties is no answer, whatever its score.
        answered = found.codes >= 0
        scores.append(found.scores[answered])
        correct.append((found.codes == wanted[rest])[answered])
        members += int(np.count_nonzero(wanted[rest] >= 0))
    return _lowest(np.concatenate(scores), np.concatenate(correct), members, precision)


def near_duplicates(
    X: NDArray[np.float32], codes: NDArray[np.int32], *, threshold: float, sample: int = OF_A_CLASS
) -> NDArray[np.int32]:
    """Return the classes (c,) of two rows or more all of whose pairs have `cosine >= threshold`.

    Of a class of more than `sample` rows so many are compared, evenly spread.
    """
    found = []
    for code in np.unique(codes[codes >= 0]):
        rows = np.flatnonzero(codes == code)
        some = X[rows[np.unique(np.linspace(0, len(rows) - 1, sample).astype(np.int64))]].astype(np.float64)
        if len(some) > 1 and (some @ some.T).min() >= threshold:
            found.append(code)
    return np.array(found, np.int32)


def _lowest(scores: NDArray[np.float64], correct: NDArray[np.bool_], members: int, precision: float) -> Needed:
    curve = precision_coverage(scores, correct)
    good = np.flatnonzero(curve.y >= precision)
    if len(good) == 0:
        return Needed(float("nan"), float("nan"), float("nan"))
    lowest = good[-1]
    hits = curve.y[lowest] * curve.x[lowest] * len(scores)
    return Needed(float(curve.thresholds[lowest]), float(curve.y[lowest]), float(hits / members))


def _some(rows: NDArray[np.int64], sample: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rows if len(rows) <= sample else np.sort(rng.choice(rows, sample, replace=False))


def _cosines(X: NDArray[np.float32], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.sort((X[a].astype(np.float64) * X[b]).sum(axis=1))
