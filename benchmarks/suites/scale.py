"""A step of the suite clusters in a process of its own, so that its peak memory is that of the step alone.

`python -m benchmarks.suites.scale STEP FOLDER K SEED` works on FOLDER/rows.npy and prints what it found as JSON:
`seconds`, `processor_seconds` of all threads, which others on the machine stretch less, and the figures of the step.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexers.graph import KnnGraph, build, method
from labelers.clusters import clusterer

ROWS, INDICES, SCORES = "rows.npy", "indices.npy", "scores.npy"
NEIGHBOURS, ITERATIONS = 15, 20
BLOCK = 4096
Figures = dict[str, Any]


def rows_of(folder: Path) -> NDArray[np.float32]:
    """Return the made rows, mapped."""
    rows: NDArray[np.float32] = np.load(folder / ROWS, mmap_mode="r")
    return rows


def graph_of(folder: Path) -> KnnGraph:
    """Return the graph of the rows, mapped, as the commands read one that is stored."""
    return KnnGraph(*(np.load(folder / name, mmap_mode="r") for name in (INDICES, SCORES)))


def _graph(folder: Path, k: int, seed: int) -> Figures:
    X = rows_of(folder)
    found, taken = _timed(partial(build, X, NEIGHBOURS, seed=seed))
    for name, array in ((SCORES, found.scores), (INDICES, found.indices)):
        scratch = folder / f".{name}"
        np.save(scratch, array)
        os.replace(scratch, folder / name)
    return {**taken, "kind": method(*X.shape)}


def _clusters(name: str, folder: Path, k: int, seed: int) -> Figures:
    made = clusterer(name, None, seed=seed)
    made = made if made.finds_k else clusterer(name, k, seed=seed)
    graph = graph_of(folder) if made.uses_graph else None
    found, taken = _timed(partial(made.cluster, rows_of(folder), graph))
    return {**taken, **found.params, "clusters": found.k}


def _kmeans(folder: Path, k: int, seed: int) -> Figures:
    """Return k-means beside a product of all rows with k centres, in blocks, measured before and after."""
    X = rows_of(folder)
    before = _product_seconds(X, k, 3)
    found = _clusters("kmeans", folder, k, seed)
    return {**found, "product_seconds": (before + _product_seconds(X, k, 2)) / 2}


def _product_seconds(X: NDArray[np.float32], k: int, times: int) -> float:
    centres = X[:k].copy()
    return min(float(_timed(partial(_product, X, centres))[1]["processor_seconds"]) for _ in range(times))


def _product(X: NDArray[np.float32], centres: NDArray[np.float32]) -> None:
    for start in range(0, len(X), BLOCK):
        X[start : start + BLOCK] @ centres.T


def _full(folder: Path, k: int, seed: int) -> Figures:
    """Return what 20 iterations of faiss over all rows take and reach, from rows drawn at random."""
    import faiss

    X = rows_of(folder)
    made = faiss.Kmeans(
        X.shape[1], k, niter=ITERATIONS, seed=seed + 1, min_points_per_centroid=1, max_points_per_centroid=len(X)
    )
    _, taken = _timed(partial(made.train, np.asarray(X)))
    return {**taken, "inertia": inertia(X, np.asarray(made.centroids))}


def inertia(X: NDArray[np.float32], centres: NDArray[np.float32]) -> float:
    """Return the sum of the squared distances of rows X (n, dim) to the nearest of `centres` (k, dim)."""
    total, half = 0.0, (centres * centres).sum(axis=1) / 2
    for start in range(0, len(X), BLOCK):
        block = X[start : start + BLOCK]
        best = (block @ centres.T - half).max(axis=1)
        total += float(((block * block).sum(axis=1) - 2 * best).sum(dtype=np.float64))
    return total


def _timed(work: Callable[[], Any]) -> tuple[Any, Figures]:
    began, used = time.perf_counter(), time.process_time()
    made = work()
    return made, {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - used}


STEPS: Mapping[str, Callable[[Path, int, int], Figures]] = {
    "graph": _graph,
    "kmeans": _kmeans,
    "full": _full,
    "leiden": partial(_clusters, "leiden"),
    "spectral": partial(_clusters, "spectral"),
}


if __name__ == "__main__":
    step, folder, k, seed = sys.argv[1:]
    print(json.dumps(STEPS[step](Path(folder), int(k), int(seed))))
