"""Data sets × spaces as jobs: what cannot be had becomes a job whose row says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.datasets import BRING, DATASETS, Unavailable, dataset, is_store
from benchmarks.job import QUICK_DATASETS, Job, Settings, row
from benchmarks.subjects.spaces import view
from benchmarks.subjects.stores import store_of
from benchmarks.subjects.subject import Subject, subject
from benchmarks.subjects.views import How, View
from engine.errors import BadInput, SourceError
from engine.progress import Progress

# Data sets of the suites about quality, unless some are named. The sample is too small to say anything.
DEFAULT = tuple(name for name in DATASETS if name not in ("sample", "store"))


def names(settings: Settings) -> tuple[str, ...]:
    """Return the data sets to look at: those named, the user's store, or all."""
    if is_store(settings.data):
        return ("store",)
    return settings.datasets or (QUICK_DATASETS if settings.quick else DEFAULT)


def subjects(suite: str, settings: Settings, progress: Progress) -> Iterator[Subject | Job]:
    """Yield each data set with its store, or the job that stands for it."""
    for name in names(settings):
        progress.note(f"{suite}: {name}")
        try:
            found = dataset(name).find(settings.place(progress))
            made = subject(found, store_of(found, settings.stores, progress))
        except Unavailable as error:
            yield missing(suite, name, str(error))
        except (BadInput, SourceError) as error:
            # A file that is broken keeps nobody from the other data sets; a store that the user named does.
            if name == "store":
                raise
            yield missing(suite, name, f"{error.message}; {BRING}")
        else:
            yield made


def look(suite: str, one: Subject, space: str, how: How) -> View | Job:
    """Return a subject in a space, or the job that stands for it."""
    try:
        return view(one, space, how)
    except Unavailable as error:
        return missing(suite, one.found.name, str(error), split=one.split, space=space, pixels=one.found.pixels)


def missing(suite: str, name: str, note: str, **facts: Any) -> Job:
    """Return a job whose row says that something is not there."""
    return Job({"dataset": name, "missing": facts.get("space")}, partial(_missing, suite, name, note, facts))


def _missing(suite: str, name: str, note: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [row(suite, name, "none", note=note, **facts)]


def what(seen: View, method: str, **more: Any) -> dict[str, Any]:
    """Return what tells a job on a view from others."""
    one = seen.subject
    same = {"dataset": one.found.name, "data": one.data, "split": one.split, "space": seen.space}
    return {**same, "fingerprint": seen.fingerprint, "method": method, **more}
