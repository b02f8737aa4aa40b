"""Principal components (Pearson 1901): the directions in which the vectors differ most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 8192


def pca(X: NDArray[np.float32], *, dim: int = 2) -> NDArray[np.float32]:
    """Return float32 (n, dim): the rows, centred, on their first `dim` principal axes.

    X is read in blocks, and held against the matrix of covariances (d, d). The largest entry of each axis is positive,
    so that the sign is no accident.
    """
    from scipy.linalg import eigh

    n, width = X.shape
    total = np.zeros(width)
    for block in _blocks(X):
        total += block.sum(axis=0, dtype=np.float64)
    centre = (total / n).astype(np.float32)
    covariance = np.zeros((width, width))
    for block in _blocks(X):
        centred = block - centre
        covariance += centred.T @ centred
    _, axes = eigh(covariance, subset_by_index=[width - dim, width - 1])
    axes = axes[:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(dim)])
    components = axes.astype(np.float32)
    return np.concatenate([(block - centre) @ components for block in _blocks(X)])


def _blocks(X: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    return (X[start : start + BLOCK_ROWS] for start in range(0, len(X), BLOCK_ROWS))
