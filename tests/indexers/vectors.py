"""Vectors to test with, and what a correct answer is."""

from __future__ import annotations

import numpy as np

from indexers import Neighbors


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def some(n: int, dim: int, seed: int = 0):
    return unit(np.random.default_rng(seed).normal(size=(n, dim)))


def oracle(X, q, k: int | None = None, threshold: float = -np.inf, keep=None) -> list[tuple[int, float]]:
    """Return (row, cosine) best first, ties by row, computed one row at a time in float64."""
    matrix, q = np.asarray(X, np.float32).astype(np.float64), q.astype(np.float64)
    scores = [float(np.dot(row, q) / np.sqrt(np.dot(row, row) * np.dot(q, q))) for row in matrix]
    rows = [i for i in range(len(scores)) if (keep is None or keep[i]) and scores[i] >= threshold]
    return [(i, scores[i]) for i in sorted(rows, key=lambda i: (-scores[i], i))][:k]


def assert_same(found: Neighbors, expected: list[tuple[int, float]]) -> None:
    assert found.positions.tolist() == [row for row, _ in expected]
    # Two orders of summation in float64 differ in the last bits.
    np.testing.assert_allclose(found.scores, [score for _, score in expected], atol=1e-13)
    assert (found.positions.dtype, found.scores.dtype) == (np.int64, np.float64)


def clustered(n: int, dim: int, *, clusters: int = 40, seed: int = 0):
    """Return `n` unit rows around centres, and 50 more as queries: random vectors alone have no neighbours."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dim))
    rows = centres[rng.integers(0, clusters, n + 50)] + 0.7 * rng.normal(size=(n + 50, dim))
    return unit(rows[:n]), unit(rows[n:])


class Lazy:
    """A matrix that computes the rows it is asked for, and nothing else."""

    def __init__(self, X):
        self._X = X
        self.shape = X.shape
        self.largest = 0

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, rows):
        assert isinstance(rows, slice | np.ndarray)
        taken = self._X[rows].copy()
        self.largest = max(self.largest, len(taken))
        return taken
