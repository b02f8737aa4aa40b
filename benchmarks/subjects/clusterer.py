"""Every clusterer on vectors in memory: with as many clusters as there are classes, or as many as it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from engine.clustering.memory import require_memory
from engine.clustering.reduce import Reduction
from engine.errors import BadInput
from engine.progress import Progress
from indexers.graph import KnnGraph, build
from labelers.clusters import CLUSTERERS, clusterer

# Columns of the graph that some of them work on; exact, because approximate ones may be other ones each time.
NEIGHBOURS = 15
# Methods that draw nothing at random when they are given vectors as they are, and a number of clusters or none.
DETERMINISTIC = ("agglomerative", "hdbscan")


@dataclass(frozen=True)
class Way:
    """A method, and what the vectors are reduced to before it, `umap:10`, if they are."""

    method: str
    reduce: str | None = None

    @property
    def draws(self) -> bool:
        """Say whether another seed may give other clusters of the same vectors."""
        return self.reduce is not None or self.method not in DETERMINISTIC

    def asked(self, k: int) -> dict[str, Any]:
        """Return what a row says of it; methods that find the number of clusters are given none."""
        number = "found" if clusterer(self.method, None).finds_k else k
        return {"k": number, **({"reduce": self.reduce} if self.reduce else {})}


# All methods on the vectors as they are, and densities where there are few axes.
WAYS = (*(Way(method) for method in CLUSTERERS), Way("hdbscan", "umap:10"))


def exact_graph(X: NDArray[np.float32]) -> KnnGraph:
    """Return the graph of rows that nothing is missing from."""
    return build(X, NEIGHBOURS, kind="exact")


def clusters(
    way: Way, X: NDArray[np.float32], k: int, *, seed: int, graph: Callable[[], KnnGraph], progress: Progress
) -> NDArray[np.int32]:
    """Return the clusters of unit rows X (n, dim), int32 (n,), −1 for noise; `graph` gives theirs where it is needed.

    Raises `Unavailable` where memory or axes do not suffice, and `ValueError` for what cannot be clustered.
    """
    number = None if clusterer(way.method, None).finds_k else k
    made = clusterer(way.method, number, seed=seed)
    reduction = Reduction.parse(way.reduce)
    n, dim = X.shape
    needed = made.memory(n, reduction.dim if reduction else dim, NEIGHBOURS)
    needed += reduction.memory(n, dim) if reduction else 0
    try:
        if reduction is not None:
            reduction.check(n, dim)
        require_memory(f"{way.method} of {n} x {dim}", needed, "use a machine with more", progress)
    except BadInput as error:
        raise Unavailable(error.message, error.remedy) from error
    if reduction is None:
        return made.cluster(X, graph() if made.uses_graph else None).codes
    fewer = reduction.apply(X, graph() if reduction.method == "umap" else None, seed=seed)
    return made.cluster(fewer, exact_graph(fewer) if made.uses_graph else None).codes
