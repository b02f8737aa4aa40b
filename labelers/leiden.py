"""Communities of the kNN graph by the Leiden algorithm (Traag, Waltman & van Eck 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph
from labelers.affinity import shared_neighbours
from labelers.clusters import Clusters, require

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RESOLUTION = 1.0
ITERATIONS = 5
# Far below it every row is alone already.
MOST_RESOLUTION = 1e6


class Leiden:
    """Maximises modularity over the graph of shared neighbours, as PhenoGraph does (Levine et al. 2015)."""

    uses_graph = True
    finds_k = True

    def __init__(self, *, seed: int = 0, resolution: float = RESOLUTION) -> None:
        if not 0 < resolution <= MOST_RESOLUTION:
            raise ValueError(f"the resolution is {resolution}, must be above 0 and at most {MOST_RESOLUTION:.0f}")
        self.seed = seed
        self.resolution = resolution

    def memory(self, n: int, dim: int, neighbors: int) -> int:
        """Return the bytes of the weighted graph, both ways, and of the copies that are made of it."""
        return n * neighbors * 160 + n * 400

    def cluster(self, X: NDArray[np.float32], graph: KnnGraph | None) -> Clusters:
        """Return the communities of `graph`; `params` has the `resolution`, the higher the more, and the `quality`."""
        require(X, None)
        if graph is None or len(graph) != X.shape[0]:
            raise ValueError("leiden needs the graph of the rows")
        weights = shared_neighbours(graph)
        weights.sort_indices()
        quality, found = self._communities(weights)
        codes = np.empty(len(graph), np.int64)
        codes[np.fromiter(found.keys(), np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
        return Clusters.of(codes, resolution=self.resolution, quality=quality)

    def _communities(self, weights: csr_matrix) -> tuple[float, dict[int, int]]:
        """Return the quality and the community of each row; raise `ValueError` where the library gives up."""
        from graspologic_native import leiden_csr

        try:
            answer: tuple[float, dict[int, int]] = leiden_csr(
                weights.indptr.astype(np.int64), weights.indices.astype(np.int32), weights.data, weights.shape[0],
                resolution=self.resolution, iterations=ITERATIONS, seed=self.seed, use_modularity=True,
            )  # fmt: skip
        except BaseException as error:
            # A panic of its Rust is no Exception, and its class cannot be imported.
            if type(error).__name__ != "PanicException":
                raise
            raise ValueError(f"leiden gives up at resolution {self.resolution}: {error}") from None
        return answer
