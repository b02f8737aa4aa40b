"""Clusters: every method on the classes of data sets, and k-means on made rows beside one product and full iterations.

Methods that find the number of clusters find it; the others are given the number of classes. A noise point is a
cluster of its own in every figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.clustered import Clustered
from benchmarks.job import Job, Settings, row
from benchmarks.page import Report, write
from benchmarks.results import Row
from benchmarks.spaces import chosen
from benchmarks.survey import look, subjects, what
from benchmarks.views import How, View
from engine.progress import Progress
from indexers.graph import KnnGraph, build
from labelers.cluster_metrics import cluster_metrics
from labelers.clusters import CLUSTERERS, clusterer
from labelers.kmeans import KMeans

SUITE = "clusters"
SPACES = ("efficientnet_lite0",)
NEIGHBOURS = 15
# What is quadratic in the rows is left out beyond this.
MOST = {"hdbscan": 12_000, "agglomerative": 12_000}
ROWS, DIM, K, ITERATIONS = 1_000_000, 512, 1000, 20
QUICK_ROWS, QUICK_K = 5000, 20
BLOCK = 4096
FIGURES = ("nmi", "ami", "ari", "ri", "homogeneity", "completeness", "purity", "accuracy", "clusters", "noise")


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each data set, space, method and seed, then the one of k-means on made rows."""
    for one in subjects(SUITE, settings, progress):
        if isinstance(one, Job):
            yield one
            continue
        for space in chosen(settings.spaces, one, SPACES):
            seen = look(SUITE, one, space, How(progress))
            if isinstance(seen, Job):
                yield seen
                continue
            graph = cache(partial(_graph, seen))
            for method in CLUSTERERS:
                for seed in settings.every_seed() if method != "hdbscan" else (0,):
                    told = what(seen, method, seed=seed)
                    yield Job(told, partial(_quality, seen, method, seed, graph))
    rows = settings.rows or (QUICK_ROWS if settings.quick else ROWS)
    k = QUICK_K if settings.quick else K
    yield Job(
        {"dataset": f"clustered-{rows}", "method": "kmeans", "k": k},
        partial(_speed, rows, k, settings.output / "vectors.npy", settings.seed),
    )


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the tables and the page."""
    write(Report(SUITE, ("nmi", "ari", "clusters"), pictures=[]), rows, settings, progress)


def _graph(seen: View) -> KnnGraph:
    return build(seen.take(seen.subject.judged), NEIGHBOURS)


def _quality(seen: View, method: str, seed: int, graph: Callable[[], KnnGraph]) -> list[Row]:
    one = seen.subject
    k = None if clusterer(method, None).finds_k else len(one.classes)
    facts: dict[str, Any] = {"seed": seed, "params": {"k": k}, "images": len(one.judged), **seen.facts()}
    if len(one.judged) > MOST.get(method, len(one.judged)):
        return [row(SUITE, one.found.name, method, note=f"takes too long beyond {MOST[method]} rows", **facts)]
    X, made = seen.take(one.judged), clusterer(method, k, seed=seed)
    neighbours = graph() if made.uses_graph else None
    began = time.perf_counter()
    codes = made.cluster(X, neighbours).codes
    seconds = time.perf_counter() - began
    found = cluster_metrics(one.codes[one.judged], codes, seed=seed)
    metrics = {name: getattr(found, name) for name in FIGURES}
    return [row(SUITE, one.found.name, method, metrics=metrics, chance=found.chance, seconds=seconds, **facts)]


def _speed(rows: int, k: int, path: Path, seed: int) -> list[Row]:
    """Return what k-means takes in products of all rows with k centres, and its inertia beside full iterations.

    Processor time of all threads: a machine that others use too stretches it less.
    """
    X = _made(rows, path)
    try:
        product = min(_timed(partial(_product, X, X[:k].copy()))[0] for _ in range(3))
        seconds, ours = _timed(partial(KMeans(k, seed=seed).cluster, X))
        again = min(_timed(partial(_product, X, X[:k].copy()))[0] for _ in range(2))
        full, centres = _timed(partial(_full, X, k, seed))
    finally:
        path.unlink()
    inertia = _inertia(X, centres)
    # Its speed before and after.
    product = (product + again) / 2
    metrics = {
        "products": seconds / product,
        "inertia_ratio": ours.params["inertia"] / inertia,
        "full_products": full / product,
        "product_seconds": product,
        "inertia": ours.params["inertia"],
        "iterations": ours.params["iterations"],
    }
    params = {"rows": rows, "dim": DIM, "k": k, "full_iterations": ITERATIONS}
    return [row(SUITE, f"clustered-{rows}", "kmeans", params=params, metrics=metrics, seconds=seconds, seed=seed)]


def _made(rows: int, path: Path) -> NDArray[np.float32]:
    path.parent.mkdir(parents=True, exist_ok=True)
    X = np.lib.format.open_memmap(path, "w+", np.float32, (rows, DIM))
    start = 0
    for block in Clustered(rows, DIM).blocks():
        X[start : start + len(block)] = block
        start += len(block)
    X.flush()
    return np.load(path, mmap_mode="r")


def _product(X: NDArray[np.float32], centres: NDArray[np.float32]) -> None:
    for start in range(0, len(X), BLOCK):
        X[start : start + BLOCK] @ centres.T


def _full(X: NDArray[np.float32], k: int, seed: int) -> NDArray[np.float32]:
    """Return the centres after 20 iterations of faiss over all rows, from rows drawn at random."""
    import faiss

    made = faiss.Kmeans(
        X.shape[1], k, niter=ITERATIONS, seed=seed + 1, min_points_per_centroid=1, max_points_per_centroid=len(X)
    )
    made.train(np.asarray(X))
    return np.asarray(made.centroids)


def _inertia(X: NDArray[np.float32], centres: NDArray[np.float32]) -> float:
    total, half = 0.0, (centres * centres).sum(axis=1) / 2
    for start in range(0, len(X), BLOCK):
        block = X[start : start + BLOCK]
        best = (block @ centres.T - half).max(axis=1)
        total += float(((block * block).sum(axis=1) - 2 * best).sum(dtype=np.float64))
    return total


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    made = work()
    return time.process_time() - began, made
