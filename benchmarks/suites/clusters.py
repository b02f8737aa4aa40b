"""Clusters at scale, on made rows: k-means beside one product and full iterations; leiden and spectral on their graph.

Each step is a process of its own (scale.py), because its peak memory is asked for, and a job of its own, because each
takes minutes. How well clusters meet classes is the suite clustering's.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.job import Job, Settings, row
from benchmarks.lines.results import Row
from benchmarks.made.clustered import Clustered
from benchmarks.processes import Ran, watched
from benchmarks.suites.measures import how_many, report
from benchmarks.suites.scale import INDICES, ITERATIONS, NEIGHBOURS, ROWS, graph_of, rows_of
from engine.progress import Progress
from indexers.graph import recall

__all__ = ["jobs", "report"]

SUITE = "clusters"
MANY, QUICK_MANY, DIM = 1_000_000, 5000, 512
# Two rows a cluster at the least.
LEAST, QUICK_LEAST = 2000, 300
# An eigenvector takes 56 bytes a row while it is sought, a thousand of a million rows 56 GB; spectral is given what its
# eigengap looks at.
CLUSTERS = {"kmeans": 1000, "leiden": None, "spectral": 100}
QUICK_CLUSTERS = 20
# Anonymous bytes that a method may take.
AT_MOST = 8 * 2**30


@dataclass(frozen=True)
class Made:
    """Made rows and their graph in a folder, made when they are needed and not there."""

    folder: Path
    rows: int
    seed: int
    progress: Progress

    def step(self, name: str, k: int | None) -> tuple[Ran, dict[str, Any]]:
        """Run a step of scale.py; return what its process took, and what it found, empty if it failed."""
        if not (self.folder / ROWS).exists():
            self.progress.note(f"{self.rows:,} rows are made")
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = self.folder / f".{ROWS}"
            Clustered(self.rows, DIM, self.seed).save(scratch)
            os.replace(scratch, self.folder / ROWS)
        command = [sys.executable, "-m", "benchmarks.suites.scale", name, str(self.folder), str(k or 0), str(self.seed)]
        ran = watched(command)
        self.progress.note(f"{name}: {ran.peak_bytes / 2**20:,.0f} MiB, {ran.seconds:.1f} s")
        return ran, {} if ran.code else json.loads(ran.stdout)

    def has_graph(self) -> bool:
        """Return whether the graph is there; the file that is written last says so."""
        return (self.folder / INDICES).exists()


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for the graph and one for each method; what they share is kept until all are measured."""
    rows = how_many(settings, MANY, QUICK_MANY, least=QUICK_LEAST if settings.quick else LEAST)
    made = Made(settings.output / f"made-{rows}", rows, settings.seed, progress)
    told = {"dataset": f"clustered-{rows}", "dim": DIM, "seed": settings.seed}
    yield Job({**told, "method": "graph"}, partial(_graph, made))
    for method, most in CLUSTERS.items():
        k = QUICK_CLUSTERS if settings.quick and most else most
        yield Job(
            {**told, "method": method, "k": k}, partial(_kmeans if method == "kmeans" else _method, made, method, k)
        )
    shutil.rmtree(made.folder, ignore_errors=True)


def _graph(made: Made) -> list[Row]:
    ran, found = made.step("graph", None)
    if found:
        found["recall"] = recall(rows_of(made.folder), graph_of(made.folder))
    return [_row(made, "graph", {"neighbours": NEIGHBOURS, "kind": found.pop("kind", None)}, ran, found)]


def _method(made: Made, method: str, k: int | None) -> list[Row]:
    if not made.has_graph():
        # It was measured by a run that ended since.
        made.step("graph", None)
    return [_row(made, method, {"k": k or "found"}, *made.step(method, k))]


def _kmeans(made: Made, method: str, k: int | None) -> list[Row]:
    """Return what k-means takes in products of all rows with k centres, and its inertia beside full iterations."""
    ran, found = made.step(method, k)
    if found:
        full = made.step("full", k)[1]
        found["products"] = found["processor_seconds"] / found["product_seconds"]
        if full:
            found["inertia_ratio"] = found["inertia"] / full["inertia"]
            found["full_products"] = full["processor_seconds"] / found["product_seconds"]
    return [_row(made, method, {"k": k, "full_iterations": ITERATIONS}, ran, found)]


def _row(made: Made, method: str, params: dict[str, Any], ran: Ran, found: dict[str, Any]) -> Row:
    seconds = found.pop("seconds", ran.seconds)
    bar = {"at_most_bytes": AT_MOST, "met": ran.peak_bytes < AT_MOST}
    return row(
        SUITE,
        f"clustered-{made.rows}",
        method,
        params={"rows": made.rows, "dim": DIM, **params},
        metrics={**found, **bar} if found else None,
        seconds=seconds,
        peak_bytes=ran.peak_bytes,
        seed=made.seed,
        note=ran.failure,
    )
