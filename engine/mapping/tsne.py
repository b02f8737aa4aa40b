"""t-SNE (van der Maaten and Hinton 2008; Barnes-Hut, van der Maaten 2014) on a graph of neighbours that is there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.mapping.pca import pca
from indexers.graph import KnnGraph

# The Barnes-Hut trees are quad-trees and oct-trees.
MOST = 3
# The spread that a layout begins with (Kobak and Berens 2019).
SPREAD = 1e-4


def tsne(X: NDArray[np.float32], graph: KnnGraph, *, dim: int = 2, seed: int = 0) -> NDArray[np.float32]:
    """Return float32 (n, dim), dim up to 3; the perplexity is a third of the graph's neighbours. The layout begins at
    the principal components. Raises `ValueError` for more dimensions."""
    from scipy.sparse import csr_matrix
    from sklearn.manifold import TSNE

    if dim > MOST:
        raise ValueError(f"t-SNE gives 1 to {MOST} dimensions, not {dim}: UMAP and PCA give more")
    n, k = graph.indices.shape
    start = pca(X, dim=dim)
    # Distances between unit vectors, each row's own, zero, among them.
    distances = np.sqrt(np.maximum(0, 2 - 2 * graph.scores))
    columns = np.concatenate([np.arange(n, dtype=np.int32)[:, None], graph.indices], axis=1)
    values = np.concatenate([np.zeros((n, 1), np.float32), distances], axis=1)
    sparse = csr_matrix((values.ravel(), columns.ravel(), np.arange(n + 1) * (k + 1)), shape=(n, n))
    model = TSNE(
        n_components=dim, perplexity=max((k - 1) / 3, 0.5), metric="precomputed", random_state=seed, n_jobs=2,
        init=start * np.float32(SPREAD / start[:, 0].std()),
    )  # fmt: skip
    laid: NDArray[np.float32] = model.fit_transform(sparse)
    return laid.astype(np.float32, copy=False)
