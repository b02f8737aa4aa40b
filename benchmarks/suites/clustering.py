"""Clusters beside classes: every method on the same vectors; representations.py has one method in every space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from benchmarks.job import Job, Settings, row
from benchmarks.lines.results import Row
from benchmarks.lines.summary import summaries
from benchmarks.reports.chart import chart
from benchmarks.reports.page import Report, write
from benchmarks.subjects.clusterer import WAYS, Way, clusters, exact_graph
from benchmarks.subjects.leakage import Leaks, leaks
from benchmarks.subjects.spaces import chosen
from benchmarks.subjects.stores import NETWORK
from benchmarks.subjects.survey import look, subjects, what
from benchmarks.subjects.views import How, View
from engine.progress import Progress
from indexers.graph import KnnGraph
from labelers.cluster_metrics import cluster_metrics

SUITE, SPACES = "clustering", (NETWORK,)
METRICS = ("nmi", "ari", "ri", "accuracy", "purity", "silhouette", "clusters", "noise")
# Those that lie between chance and 1 for every method.
DRAWN = ("nmi", "ari")


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each data set, method and seed."""
    return compared(SUITE, settings, progress, spaces=SPACES, ways=WAYS)


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the tables and the page, with a picture of NMI and ARI."""
    summed(SUITE, METRICS, rows, settings, progress)


def summed(suite: str, metrics: Sequence[str], rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the report of a suite about clusters."""
    found = summaries(rows, metrics)
    picture = "quick.png" if settings.quick else "report.png"
    if found:
        chart(found, suite, DRAWN, settings.output / picture)
    write(Report(suite, metrics, [picture]), rows, settings, progress)


def compared(
    suite: str, settings: Settings, progress: Progress, *, spaces: Sequence[str], ways: Sequence[Way]
) -> Iterator[Job]:
    """Yield a job for each data set, space, method and seed; without a seed where none makes a difference."""
    for one in subjects(suite, settings, progress):
        if isinstance(one, Job):
            yield one
            continue
        guard = cache(partial(leaks, one, progress))
        for space in chosen(settings.spaces, one, spaces):
            seen = look(suite, one, space, How(progress, settings.quick))
            if isinstance(seen, Job):
                yield seen
                continue
            graph = cache(partial(_graph, seen))
            for way, seed in _drawn(ways, settings.every_seed()):
                told = what(seen, way.method, params=way.asked(len(one.classes)), seed=seed)
                yield Job(told, partial(_rows, suite, seen, way, seed, guard, graph, progress))


def _drawn(ways: Sequence[Way], seeds: Sequence[int]) -> Iterator[tuple[Way, int | None]]:
    """Yield each way with every seed; one that draws nothing once, with None."""
    first = seeds[0]
    for seed in seeds:
        yield from ((way, seed if way.draws else None) for way in ways if way.draws or seed == first)


def _rows(
    suite: str,
    seen: View,
    way: Way,
    seed: int | None,
    guard: Callable[[], Leaks | None],
    graph: Callable[[], KnnGraph],
    progress: Progress,
) -> list[Row]:
    one = seen.subject
    X, truth = seen.take(one.judged), one.codes[one.judged]
    facts = {"params": way.asked(len(one.classes)), "seed": seed, "images": len(truth), **seen.facts()}
    try:
        codes = clusters(way, X, len(one.classes), seed=seed or 0, graph=graph, progress=progress)
    except Unavailable as error:
        return [row(suite, one.found.name, way.method, **{**facts, "note": str(error)})]
    metrics, chance = figures(truth, codes, X, seed or 0)
    leakage = _leakage(guard(), truth, codes, seed or 0)
    return [row(suite, one.found.name, way.method, metrics=metrics, chance=chance, leakage=leakage, **facts)]


def _leakage(
    found: Leaks | None, truth: NDArray[np.int32], codes: NDArray[np.int32], seed: int
) -> dict[str, Any] | None:
    """Return the figures of the same clusters without the images that are near duplicates of training images."""
    if found is None:
        return None
    kept = ~found.leaked
    return {**found.facts(), "metrics": figures(truth[kept], codes[kept], None, seed)[0] if kept.any() else {}}


def _graph(seen: View) -> KnnGraph:
    return exact_graph(seen.take(seen.subject.judged))


def figures(
    truth: NDArray[np.int32], codes: NDArray[np.int32], X: NDArray[np.float32] | None, seed: int
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return what clusters reach, and what chance would reach with clusters of their sizes."""
    found = cluster_metrics(truth, codes, X=X, seed=seed)
    names = [name for name in vars(found) if name != "chance"]
    return {name: getattr(found, name) for name in names}, dict(found.chance)
