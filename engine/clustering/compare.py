"""Two runs of clusters beside each other, over the images that both have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.clustering.cluster_runs import NOISE, cluster_run
from engine.errors import BadInput
from engine.store import Store
from engine.store.vectors import sort_key
from labelers.cluster_metrics import ClusterMetrics, cluster_metrics, contingency


@dataclass(frozen=True)
class Compared:
    """`metrics` treat the first run as the truth. `contingency` has (cluster, cluster, images) of every pair of
    clusters that share an image, the most first."""

    runs: tuple[str, str]
    images: int
    metrics: ClusterMetrics
    contingency: list[tuple[str, str, int]]


def compare(store: Store, first: str, second: str) -> Compared:
    """Return how two runs agree; raise `BadInput` for another run, and where they have no image in common."""
    runs = cluster_run(store, first), cluster_run(store, second)
    keys = sort_key(runs[0].ids), sort_key(runs[1].ids)
    _, *places = np.intersect1d(keys[0], keys[1], assume_unique=True, return_indices=True)
    if len(places[0]) == 0:
        raise BadInput(f"runs {first} and {second} have no image in common", "compare runs over the same images")
    one, other = (run.codes[rows] for run, rows in zip(runs, places, strict=True))
    # Noise is one line here, so that people see where it went.
    table = contingency(one + 1, other + 1).tocoo()
    pairs = sorted(zip(table.row.tolist(), table.col.tolist(), table.data.tolist(), strict=True), key=_most_first)
    named = [(_name(a), _name(b), images) for a, b, images in pairs]
    return Compared((first, second), len(one), cluster_metrics(one, other), named)


def _most_first(pair: tuple[int, int, int]) -> tuple[int, int, int]:
    return (-pair[2], pair[0], pair[1])


def _name(code: int) -> str:
    return str(code - 1) if code else NOISE
