"""Representations: how well the clusters of a space, as many as there are classes, agree with the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.job import Job, Settings
from benchmarks.lines.results import Row
from benchmarks.subjects.clusterer import Way
from benchmarks.subjects.spaces import SPACES
from benchmarks.suites.clustering import compared, summed
from engine.progress import Progress

SUITE = "representations"
WAYS = (Way("kmeans"),)
METRICS = ("nmi", "ari", "ri", "accuracy")


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each data set, space and seed."""
    return compared(SUITE, settings, progress, spaces=tuple(SPACES), ways=WAYS)


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the tables and the page, with a picture of NMI and ARI."""
    summed(SUITE, METRICS, rows, settings, progress)
