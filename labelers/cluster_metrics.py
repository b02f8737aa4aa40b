"""How well clusters agree with the truth, and what chance would give.

Every figure but the silhouette comes from one sparse table: how many rows each pair of class and cluster shares. Noise
(code −1) is no cluster: each of its rows counts as a cluster of its own, so that nobody gains by calling rows noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labelers.chance import expected_information
from labelers.silhouette import silhouette

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

# Rows whose silhouette is taken; of more, so many are drawn.
SAMPLE = 20_000
# Shuffles of the truth for figures whose expectation has no formula; of many rows fewer are as sure.
DRAWS = 10
SHUFFLED = 2_000_000


@dataclass(frozen=True)
class ClusterMetrics:
    """Clusters beside the truth.

    rows, classes, clusters   noise is none of the clusters
    noise                     its share of the rows
    nmi, ami                  mutual information by the mean of both entropies; adjusted for chance (Vinh et al. 2010)
    ari, ri                   Rand index adjusted for chance (Hubert & Arabie 1985); the share of pairs that agree
    homogeneity, completeness mutual information by the entropy of the classes; of the clusters
    purity                    share of rows that are of the commonest class of their cluster
    accuracy                  the same with each class given to one cluster at most, as well as can be (Kuhn 1955)
    silhouette                with distance 1 − cosine; None without vectors, nan for fewer than two clusters
    silhouette_rows           how many rows it was taken of
    chance                    what clusters of these sizes reach on average with rows dealt out at random: by formula
                              for nmi, ami, ari, ri, homogeneity and completeness; for purity and accuracy the mean of
                              ten seeded shuffles (two from a million rows on); the silhouette has none
    """

    rows: int
    classes: int
    clusters: int
    noise: float
    nmi: float
    ami: float
    ari: float
    ri: float
    homogeneity: float
    completeness: float
    purity: float
    accuracy: float
    silhouette: float | None
    silhouette_rows: int
    chance: Mapping[str, float]


def cluster_metrics(
    truth: NDArray[np.int32], found: NDArray[np.int32], *, X: NDArray[np.float32] | None = None, seed: int = 0
) -> ClusterMetrics:
    """Return how clusters `found` agree with `truth`, codes (n,) both, and the silhouette over unit rows `X` (n, dim).

    Each row of code −1, in either, is a cluster of its own; rows whose truth is not known are left out by the caller.
    Raises `ValueError` for no rows, other lengths, codes below −1 and vectors that are not finite.
    """
    require_codes(truth, found)
    if X is not None and len(X) != len(found):
        raise ValueError(f"{len(X)} vectors, {len(found)} codes")
    rng = np.random.default_rng(seed)
    table = contingency(alone(truth), alone(found))
    chance = {**_expected(table), **_shuffled(alone(truth), alone(found), rng)}
    width = None if X is None else silhouette(X, alone(found), rng=rng, sample=SAMPLE)
    return ClusterMetrics(
        len(found),
        len(np.unique(truth[truth >= 0])),
        len(np.unique(found[found >= 0])),
        float((found < 0).mean()),
        **_information(table),
        **_pairs(table),
        purity=_purity(table),
        accuracy=_accuracy(table),
        silhouette=width,
        silhouette_rows=0 if X is None else min(len(found), SAMPLE),
        chance=chance,
    )


def require_codes(truth: NDArray[np.int32], found: NDArray[np.int32]) -> None:
    """Raise `ValueError` unless both are codes, −1 for noise, of one length that is not 0."""
    if truth.ndim != 1 or truth.shape != found.shape or len(found) == 0:
        raise ValueError(f"truth has shape {truth.shape}, the clusters {found.shape}: there must be as many, and some")
    for codes in (truth, found):
        if not np.issubdtype(codes.dtype, np.integer) or codes.min() < -1:
            raise ValueError(f"codes are {codes.dtype} from {codes.min()} on, must be integers from -1 on")


def alone(codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return codes from 0 on without gaps, int32, in which each row of code −1 has one of its own."""
    known, places = np.unique(codes[codes >= 0], return_inverse=True)
    own = np.empty(len(codes), np.int32)
    own[codes >= 0] = places
    own[codes < 0] = len(known) + np.arange(np.count_nonzero(codes < 0))
    return own


def contingency(truth: NDArray[np.int32], found: NDArray[np.int32]) -> csr_matrix:
    """Return how many rows each class and cluster share, sparse int64 (classes, clusters), for codes from 0 on."""
    from scipy.sparse import coo_matrix

    ones = np.ones(len(truth), np.int64)
    return coo_matrix((ones, (truth, found)), shape=(truth.max() + 1, found.max() + 1)).tocsr()


def _sizes(table: csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.asarray(table.sum(axis=1)).ravel(), np.asarray(table.sum(axis=0)).ravel()


def _entropy(sizes: NDArray[np.int64]) -> float:
    share = sizes[sizes > 0] / sizes.sum()
    return float(-(share * np.log(share)).sum())


def _identical(table: csr_matrix) -> bool:
    """Say whether classes and clusters are the same groups."""
    return table.nnz == table.shape[0] == table.shape[1]


def _information(table: csr_matrix) -> dict[str, float]:
    classes, clusters = _sizes(table)
    names = ("nmi", "ami", "homogeneity", "completeness")
    if _identical(table):
        return dict.fromkeys(names, 1.0)
    rows, columns = table.nonzero()
    expected = classes[rows] / table.sum() * clusters[columns]
    shared = max(0.0, float((table.data * np.log(table.data / expected)).sum() / table.sum()))
    parts = _entropy(classes), _entropy(clusters)
    chance, mean = expected_information(classes, clusters), sum(parts) / 2
    # Where chance leaves nothing to gain nothing was gained.
    adjusted = (shared - chance) / (mean - chance) if mean - chance > 1e-12 else 0.0
    return dict(zip(names, (shared / mean, adjusted, *(_share(shared, part) for part in parts)), strict=True))


def _share(information: float, entropy: float) -> float:
    """Return information as a share of an entropy; what has none is known altogether."""
    return information / entropy if entropy > 0 else 1.0


def _pairs(table: csr_matrix) -> dict[str, float]:
    """Return the Rand index and its adjusted form."""
    if _identical(table):
        return {"ri": 1.0, "ari": 1.0}
    pairs, classes, clusters, both = _pair_counts(table)
    chance = classes * clusters / pairs
    ari = (both - chance) / ((classes + clusters) / 2 - chance)
    return {"ri": (pairs - classes - clusters + 2 * both) / pairs, "ari": ari}


def _pair_counts(table: csr_matrix) -> tuple[int, int, int, int]:
    """Return ordered pairs of rows: all, of one class, of one cluster, of both."""
    n = int(table.sum())
    squares = [int((sizes**2).sum()) - n for sizes in (*_sizes(table), table.data)]
    return (n * n - n, squares[0], squares[1], squares[2])


def _purity(table: csr_matrix) -> float:
    return float(table.max(axis=0).sum() / table.sum())


def _accuracy(table: csr_matrix) -> float:
    """Return the share of rows that one-to-one matching of classes and clusters gets right."""
    from scipy.sparse import csr_matrix, hstack, identity
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    # A class may stay without a cluster: it has a place of its own that is worth nothing. Every edge is raised by one,
    # which changes no order, for an edge of weight 0 would be none.
    raised = csr_matrix((table.data + 1, table.indices, table.indptr), shape=table.shape)
    rows, columns = min_weight_full_bipartite_matching(
        hstack([raised, identity(len(_sizes(table)[0]))]).tocsr(), maximize=True
    )
    matched = columns < table.shape[1]
    return float(table[rows[matched], columns[matched]].sum() / table.sum())


def _expected(table: csr_matrix) -> dict[str, float]:
    """Return the expected value, for clusters of these sizes dealt out at random, of what has a formula for it."""
    sizes = _sizes(table)
    classes, clusters = map(_entropy, sizes)
    shared = expected_information(*sizes)
    pairs, of_class, of_cluster, _ = _pair_counts(table)
    both = of_class * of_cluster / pairs if pairs else 0.0
    return {
        "nmi": _share(shared, (classes + clusters) / 2),
        "ami": 0.0,
        "ari": 0.0,
        "ri": (pairs - of_class - of_cluster + 2 * both) / pairs if pairs else 1.0,
        "homogeneity": _share(shared, classes),
        "completeness": _share(shared, clusters),
    }


def _shuffled(truth: NDArray[np.int32], found: NDArray[np.int32], rng: np.random.Generator) -> dict[str, float]:
    """Return the mean of purity and accuracy over shuffles of the truth."""
    draws = min(DRAWS, max(2, SHUFFLED // len(truth)))
    tables = [contingency(rng.permutation(truth), found) for _ in range(draws)]
    return {
        "purity": float(np.mean([_purity(table) for table in tables])),
        "accuracy": float(np.mean([_accuracy(table) for table in tables])),
    }
