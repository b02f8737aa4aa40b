"""UMAP from the stored graph of neighbours beside umap-learn, which looks for them itself, on the same vectors.

Both are given the same seed, which keeps both to one thread, and count the same neighbours; a small run before compiles
what is compiled. Seconds are of the processor, for the machine may be shared, and of the clock.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import dataset
from benchmarks.job import Job, Settings
from benchmarks.peers.vectors import own_name, read_vectors
from benchmarks.subjects.stores import NETWORK, embed, store_of
from benchmarks.suites.measures import how_many, report, whole
from engine.errors import BadInput
from engine.fused import matrix_of
from engine.mapping.projections import NEIGHBORS, project
from engine.progress import Progress, Silent
from indexers.graph import KnnGraph, build

__all__ = ["jobs", "report"]

SEED = 0
WARM = 600
# Rows among which it is counted how many neighbours stay neighbours.
JUDGED = 3000
K = 15
# Fewer are no map.
LEAST = 100


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    if settings.rows is not None:
        how_many(settings, 0, 0, least=LEAST)
    return whole("maps", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield seconds and quality of both, and what building the graph takes, which is done once for all maps."""
    X, name = _vectors(settings)
    k = NEIGHBORS["umap"]
    _stored(X[:WARM], build(X[:WARM], k))
    _alone(X[:WARM], k)
    graph, built = _timed(lambda: build(X, k, seed=SEED))
    ours, stored = _timed(lambda: _stored(X, graph))
    theirs, alone = _timed(lambda: _alone(X, k))
    rows = np.sort(np.random.default_rng(SEED).permutation(len(X))[:JUDGED])
    yield {
        "dataset": name,
        "seed": SEED,
        "params": {"rows": len(X), "dim": X.shape[1]},
        "from_graph": {**stored, "trustworthiness": _trust(X, ours, rows)},
        "umap_learn": {**alone, "trustworthiness": _trust(X, theirs, rows)},
        "graph": built,
        "times_faster": _ratios(alone, stored),
        "times_faster_with_the_graph": _ratios(alone, {key: stored[key] + built[key] for key in stored}),
    }


def _vectors(settings: Settings) -> tuple[NDArray[np.float32], str]:
    if settings.vectors is not None:
        X = read_vectors(settings.vectors, settings.rows)
        if len(X) < LEAST:
            raise BadInput(f"{settings.vectors} has {len(X)} vectors", f"a map takes at least {LEAST}")
        return X, own_name(settings.vectors)
    found = dataset("sample" if settings.quick else "cifar10").find(settings.place())
    store = store_of(found, settings.stores, Silent())
    embed(found, store, NETWORK, Silent())
    return np.asarray(matrix_of(store, store.space(NETWORK)).matrix[: settings.rows]), found.name


def _stored(X: NDArray[np.float32], graph: KnnGraph) -> NDArray[np.float32]:
    return project(X, method="umap", seed=SEED, graph=graph)


def _alone(X: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    from umap import UMAP

    with warnings.catch_warnings():
        # That a seed keeps it to one thread.
        warnings.simplefilter("ignore", UserWarning)
        # It counts each row among its own neighbours.
        laid: NDArray[np.float32] = UMAP(n_neighbors=k + 1, metric="cosine", random_state=SEED).fit_transform(X)
    return laid


def _timed(task: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    began, worked = time.perf_counter(), time.process_time()
    done = task()
    return done, {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - worked, 1),
    }


def _ratios(slow: dict[str, float], quick: dict[str, float]) -> dict[str, float]:
    return {key: round(slow[key] / max(quick[key], 1e-9), 2) for key in ("seconds", "processor_seconds")}


def _trust(X: NDArray[np.float32], laid: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
    from sklearn.manifold import trustworthiness

    return round(float(trustworthiness(X[rows], laid[rows], n_neighbors=K, metric="cosine")), 4)
