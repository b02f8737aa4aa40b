"""Labels spread from the exemplars over a graph of neighbours (Zhou et al., Learning with local and global consistency,
NIPS 2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexers.exact import MARGIN as BORDER
from indexers.exact import ExactIndex
from labelers.base import Exemplars, Labels, Rows, decide, joined, require_margin, thresholds
from labelers.scan import BLOCK_ROWS, again, blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

ALPHA = 0.9
NEIGHBOURS = 15
# Sums over the graph differ in their last bits with the order of the rows.
DIGITS = 9


def label(
    X: Rows,
    exemplars: Exemplars,
    *,
    threshold: ArrayLike,
    margin: float = 0.0,
    graph: csr_array | None = None,
    alpha: float = ALPHA,
    rest: float = 1.0,
    iterations: int = 100,
    tolerance: float = 1e-4,
) -> Labels:
    """Return labels of unit rows `X` (n, dim); a class's score is its share of the mass that arrives at a row.

    The score lies in [0, 1] and is not a cosine. Every class starts with mass 1, shared out by cosine among the rows
    closest to its exemplars; the rest, which is in no class, with mass `rest`, spread evenly over all rows: without it
    whatever a single class reaches would be of that class entirely. Negative exemplars take mass away. `graph` (n, n)
    holds the cosines of each row's nearest; by default the exact 15, which takes n² time. Raises `ValueError` as
    `nearest` does, and for a graph of another shape or parameters that make no sense.
    """
    known = exemplars.in_order()
    least = thresholds(threshold, known.classes)
    require_margin(margin)
    if not rest >= 0:
        raise ValueError(f"rest is {rest}, must be at least 0")
    start = np.column_stack([_seeds(X, known), np.full(X.shape[0], rest / max(X.shape[0], 1))])
    whole = neighbour_graph(X) if graph is None else graph
    if whole.shape != (X.shape[0], X.shape[0]):
        raise ValueError(f"the graph is {whole.shape}, there are {X.shape[0]} vectors")
    mass = spread(normalised(whole), start, alpha=alpha, iterations=iterations, tolerance=tolerance)

    def answer(block: NDArray[np.float64]) -> Labels:
        # What negative exemplars took away must not make the total smaller.
        share = np.maximum(block.T, 0)
        total = share.sum(axis=0)
        share = np.divide(share[:-1], total, out=np.zeros_like(share[:-1]), where=total > 0).round(DIGITS)
        return decide(np.where(share > 0, share, -np.inf), least, margin, known.classes)

    return joined([answer(mass[at : at + BLOCK_ROWS]) for at in range(0, max(len(mass), 1), BLOCK_ROWS)])


def spread(
    graph: csr_array, start: NDArray[np.float64], *, alpha: float, iterations: int, tolerance: float
) -> NDArray[np.float64]:
    """Return the limit of F ← α·graph·F + (1 − α)·start, both (n, columns); `graph` as `normalised` returns it.

    Stops after `iterations` or when no column moves by more than `tolerance` of its largest value.
    """
    if not 0 < alpha < 1 or iterations < 1:
        raise ValueError(f"alpha is {alpha} and iterations {iterations}, must be in (0, 1) and at least 1")
    mass = start
    for _ in range(iterations):
        before, mass = mass, graph @ mass
        mass *= alpha
        mass += (1 - alpha) * start
        largest = np.abs(mass).max(axis=0, initial=0)
        if (np.abs(mass - before).max(axis=0, initial=0) <= tolerance * largest).all():
            break
    return mass


def normalised(graph: csr_array) -> csr_array:
    """Return D^-½·W·D^-½ of the symmetric W that joins whom either counts among its nearest; no row joins itself."""
    from scipy.sparse import csr_array as csr

    both = csr(graph, dtype=np.float64)
    both = both.maximum(both.T).tocsr()
    rows = np.repeat(np.arange(both.shape[0], dtype=both.indices.dtype), np.diff(both.indptr))
    both.data[(rows == both.indices) | (both.data < 0)] = 0
    degree = both.sum(axis=1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    both.data *= scale[rows]
    both.data *= scale[both.indices]
    if not np.isfinite(both.data).all():
        raise ValueError("a weight of the graph is not finite")
    return both


def neighbour_graph(X: Rows, k: int = NEIGHBOURS) -> csr_array:
    """Return the exact kNN graph of unit rows `X` as cosines (n, n), in n² time."""
    from scipy.sparse import csr_array as csr

    n = X.shape[0]
    index = ExactIndex(np.asarray(X[0:n], np.float32))
    columns, weights = [np.empty(0, np.int64)], [np.empty(0)]
    for row in range(n):
        found = index.search(X[row : row + 1], k + 1)[0]
        # Among many that are equal, the row itself may not be one of the k + 1.
        others = np.flatnonzero(found.positions != row)[:k]
        columns.append(found.positions[others])
        weights.append(found.scores[others])
    starts = np.cumsum([len(part) for part in columns])
    return csr((np.concatenate(weights), np.concatenate(columns), starts), shape=(n, n))


def _seeds(X: Rows, known: Exemplars) -> NDArray[np.float64]:
    """Return where each class starts (n, classes): the row closest to each exemplar, weighted by its cosine."""
    seeds = np.zeros((X.shape[0], len(known.classes)))
    rows, scores = _closest(X, known)
    weights = np.maximum(scores, 0)
    totals = np.bincount(known.codes, weights * known.polarity, len(known.classes))[known.codes]
    weights = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    if len(seeds):
        np.add.at(seeds, (rows, known.codes), np.where(known.polarity, weights, -weights))
    return seeds


def _closest(X: Rows, known: Exemplars) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the row of `X` closest to each exemplar (m,), the first of equals, and its cosine."""
    every = np.arange(len(known.codes))
    closest, scores = np.zeros(len(every), np.int64), np.full(len(every), -np.inf)
    for start, rows, cosines in blocks(X, known):
        if len(rows) == 0:
            continue
        exact = np.full(cosines.shape, -np.inf)
        again(exact, cosines >= cosines.max(axis=1, keepdims=True) - 2 * BORDER, rows, known.matrix)
        here = exact.argmax(axis=1)
        better = exact[every, here] > scores
        closest[better] = start + here[better]
        scores[better] = exact[every, here][better]
    return closest, scores
