"""Communities of the kNN graph by the Leiden algorithm (Traag, Waltman & van Eck 2019)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.affinity import shared_neighbours
from labelers.clusters import Clusters, require

RESOLUTION = 1.0
ITERATIONS = 5


class Leiden:
    """Maximises modularity over the graph of shared neighbours, as PhenoGraph does (Levine et al. 2015)."""

    uses_graph = True
    finds_k = True

    def __init__(self, *, seed: int = 0, resolution: float = RESOLUTION) -> None:
        if not 0 < resolution < np.inf:
            raise ValueError(f"the resolution is {resolution}, must be above 0")
        self.seed = seed
        self.resolution = resolution

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of the weighted graph, both ways, and of the copies that are made of it."""
        return n * neighbors * 160 + n * 400

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None) -> Clusters:
        """Return the communities of `graph`; `params` has the `resolution`, the higher the more, and the `quality`."""
        from graspologic_native import leiden_csr

        require(X, None)
        if graph is None or len(graph) != X.shape[0]:
            raise ValueError("leiden needs the graph of the rows")
        weights = shared_neighbours(graph)
        weights.sort_indices()
        quality, found = leiden_csr(
            weights.indptr.astype(np.int64), weights.indices.astype(np.int32), weights.data, len(graph),
            resolution=self.resolution, iterations=ITERATIONS, seed=self.seed, use_modularity=True,
        )  # fmt: skip
        codes = np.empty(len(graph), np.int64)
        codes[np.fromiter(found.keys(), np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
        return Clusters.of(codes, resolution=self.resolution, quality=quality)
