"""What the suites about speed and memory share: a measurement that only means something as a whole is one job."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.datasets import Found, Unavailable, dataset
from benchmarks.job import Job, Settings, row
from benchmarks.lines.results import Row
from benchmarks.peers.vectors import file_digest
from benchmarks.reports.page import write_tables
from benchmarks.reports.report import Table
from engine.errors import BadInput
from engine.progress import Progress
from engine.sources import open_source

Measure = Callable[[Settings, Path], Iterator[dict[str, Any]]]
# What a measurement says beside its figures.
FACTS = ("dataset", "method", "space", "seed", "params", "pixels", "images", "note")
# What a suite looks at of its settings: another value is another measurement.
USES = {
    "ingest": ("data",),
    "memory": ("data",),
    "duplicates": ("data",),
    "precisions": ("data",),
    "maps": ("data", "vectors", "rows"),
}


def whole(suite: str, run: Measure, settings: Settings) -> Iterator[Job]:
    """Yield the job that runs a measurement to its end in a folder of its own."""
    told = {"dataset": photos_name(settings), "method": suite, **asked(suite, settings)}
    yield Job(told, partial(_rows, suite, run, settings))


def asked(suite: str, settings: Settings) -> dict[str, Any]:
    """Return what a suite was given of what it uses: where data lie, the digest of a file of vectors, how many rows."""
    given = {name: getattr(settings, name) for name in USES.get(suite, ()) if getattr(settings, name) is not None}
    if "vectors" in given:
        # Then nothing is looked for elsewhere.
        return {**given, "vectors": file_digest(given["vectors"]), "data": None}
    return {**given, "data": str(given["data"].resolve())} if "data" in given else given


def how_many(settings: Settings, full: int, quick: int, *, least: int) -> int:
    """Return how many rows are made: as many as `--rows` says; raise `BadInput` if it says fewer than `least`."""
    if settings.rows is None:
        return quick if settings.quick else full
    if settings.rows < least:
        raise BadInput(f"--rows {settings.rows} is too few here", f"at least {least}")
    return settings.rows


def _rows(suite: str, run: Measure, settings: Settings) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as scratch:
        try:
            return [_row(suite, one) for one in run(settings, Path(scratch))]
        except Unavailable as error:
            return [row(suite, photos_name(settings), suite, note=str(error))]


def _row(suite: str, found: Mapping[str, Any]) -> Row:
    facts = {name: found[name] for name in FACTS if name in found and name not in ("dataset", "method")}
    metrics = {name: value for name, value in found.items() if name not in FACTS}
    return row(suite, found.get("dataset", "made"), found.get("method", suite), metrics=metrics, **facts)


def photos_name(settings: Settings) -> str:
    """Return the name of the data set of photos: the bundled one for a quick run."""
    return "sample" if settings.quick else "caltech101"


def photos(settings: Settings) -> Found:
    """Return the data set of photos; raise `Unavailable`."""
    return dataset(photos_name(settings)).find(settings.place())


def named_labels(found: Found) -> dict[str, str]:
    """Return the class of each picture's name."""
    if found.labels:
        return {one["image"]: one["label"] for path in found.labels.values() for one in _read(path)}
    names = (PurePosixPath(name) for source in found.sources for _, name in open_source(source).names())
    return {str(name): name.parent.name for name in names}


def _read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write every figure of every row, as they are."""
    suite = rows[0]["suite"]
    made = [
        Table(
            f"{one['dataset']}: {one['method']}" + (f", {_text(one['params'])}" if one["params"] else ""),
            ("figure", "value"),
            [(name, _text(value)) for name, value in _figures(one).items()] or [("not available", one["note"] or "")],
            [one["note"]] if one["note"] and one["available"] else [],
        )
        for one in rows
    ]
    write_tables(made, suite, rows, settings, progress)


def _figures(one: Row) -> dict[str, Any]:
    """Return what was measured; with figures, the seconds and the peak of memory too, where they are known."""
    taken = {name: one[name] for name in ("seconds", "peak_bytes") if one["metrics"] and one[name] is not None}
    return {**one["metrics"], **taken}


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
