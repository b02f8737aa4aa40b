"""A suite run to its end: jobs that have no rows yet are measured, then tables and pictures are made from the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, Protocol

from benchmarks.job import Job, Settings
from benchmarks.lines.published import beside
from benchmarks.lines.results import RESULTS, Results, Row
from benchmarks.machine import machine
from benchmarks.processes import Watch
from benchmarks.protocol import protocol
from benchmarks.suites import SUITES
from engine.errors import BadInput, StoreBusy
from engine.progress import Progress
from engine.store.durable import if_free


class Suite(Protocol):
    """A module of `SUITES`."""

    jobs: Callable[[Settings, Progress], Iterator[Job]]
    report: Callable[[Sequence[Row], Settings, Progress], None]


def suite(name: str) -> Suite:
    """Return the module of a suite; raise `BadInput` if there is none of that name."""
    if name not in SUITES:
        raise BadInput(f"there is no suite {name!r}", f"one of: {', '.join(SUITES)}")
    found: Any = import_module(SUITES[name])
    return found


def bench(name: str, settings: Settings, progress: Progress) -> Iterator[Row]:
    """Yield the rows of a suite, measured now or before, and write its report; see `Settings` for what is asked."""
    chosen, version = suite(name), protocol(name)
    path = settings.output / RESULTS
    if settings.reuse:
        rows = [one for one in Results(path).rows() if _asked(one, settings)]
        if not rows:
            raise BadInput(f"there are no such rows in {path}", f"measure first: engine bench {name}")
        yield from rows
        chosen.report(rows, settings, progress)
        return
    settings.output.mkdir(parents=True, exist_ok=True)
    with if_free(settings.output / ".lock") as free:
        if not free:
            raise StoreBusy(f"another engine bench writes into {settings.output}", "wait for it, or --output DIR")
        results, rows = Results(path, anew=settings.recompute), []
        for job in chosen.jobs(settings, progress):
            for one in _measured(name, version, job, results, settings, progress):
                rows.append(one)
                yield one
        chosen.report(rows, settings, progress)


def _asked(one: Row, settings: Settings) -> bool:
    # A small run of the race calls its data sets so.
    named = one["dataset"].removesuffix("-quick") if settings.quick else one["dataset"]
    wanted = not settings.datasets or named in settings.datasets
    return wanted and (not settings.spaces or one["space"] in settings.spaces) and one["quick"] == settings.quick


def _measured(name: str, version: str, job: Job, results: Results, settings: Settings, progress: Progress) -> list[Row]:
    key = job.key(name, version, quick=settings.quick)
    # Measured anew, it stands where it stood before; what is not measured now stays.
    if (done := results.done(key)) and not settings.recompute:
        return done
    said = [str(job.what[part]) for part in ("dataset", "space", "method") if job.what.get(part)]
    seed = "" if job.what.get("seed") is None else f", seed {job.what['seed']}"
    progress.note(f"{name}: {', '.join(said)}{seed}")
    with Watch() as watch:
        found = list(job.run())
    rows = [
        {
            **one,
            "seconds": watch.seconds if one["seconds"] is None else one["seconds"],
            "peak_bytes": watch.peak_bytes if one["peak_bytes"] is None else one["peak_bytes"],
            "published": beside(one),
            "protocol": version,
            "quick": settings.quick,
            "key": key,
            "machine": machine(),
            "part": [number, len(found)],
        }
        for number, one in enumerate(found)
    ]
    results.put(rows)
    return rows
