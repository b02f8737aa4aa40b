"""The suite `search`: race, raw file, rows, table, picture."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.datasets import Unavailable
from benchmarks.job import Job, Settings, row
from benchmarks.peers import PEERS
from benchmarks.peers.metrics import Race, Result, measured
from benchmarks.peers.plot import draw
from benchmarks.peers.race import Line, race
from benchmarks.peers.report import markdown, summary
from benchmarks.peers.vectors import prepare
from engine.errors import BadInput
from engine.progress import Progress

DEFAULT, QUICK = ("caltech101", "clustered-100k"), ("sample", "clustered-100k")
METRICS = ("recall_at_10", "recall_at_100", "p50", "p95", "queries_per_second", "build_seconds", "size_bytes")


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a race for each data set, which gives a row for each competitor and effort, and leaves its raw file."""
    if unknown := set(settings.skip) - PEERS.keys():
        raise BadInput(f"there is no competitor {min(unknown)!r}", f"they are {', '.join(PEERS)}")
    default = QUICK if settings.quick else DEFAULT
    for name in settings.datasets or ((settings.vectors.stem,) if settings.vectors else default):
        told = {"dataset": _stem(name, settings), "vectors": _bytes(settings.vectors), "skip": sorted(settings.skip)}
        yield Job({**told, "seed": settings.seed}, partial(_rows, name, settings, progress))


def _rows(name: str, settings: Settings, progress: Progress) -> list[dict[str, Any]]:
    try:
        found = measured(read(_measure(name, settings, progress)))
    except Unavailable as error:
        return [row("search", name, "none", note=str(error))]
    return [_row(found, one) for one in found.results]


def report(rows: Sequence[dict[str, Any]], settings: Settings, progress: Progress) -> None:
    """Write NAME.md and NAME.png of each data set from its raw file, and summary.md of all of them."""
    names = dict.fromkeys(one["dataset"] for one in rows if one["available"])
    raws = [raw for name in names if (raw := settings.output / f"raw-{name}.jsonl.gz").exists()]
    races = [measured(read(raw)) for raw in raws]
    for raw, found in zip(raws, races, strict=True):
        stem = raw.name.removeprefix("raw-").removesuffix(".jsonl.gz")
        (raw.parent / f"{stem}.md").write_text(markdown(found))
        draw(found, raw.parent / f"{stem}.png")
        progress.note(f"written: {raw.parent}/{stem}.md, {stem}.png")
    if races:
        (settings.output / "summary.md").write_text(summary(races))


def _stem(name: str, settings: Settings) -> str:
    return f"{name}-quick" if settings.quick else name


def _bytes(path: Path | None) -> list[Any] | None:
    """Return what tells a file of vectors from another state of it."""
    if path is None or not path.exists():
        return None
    return [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns]


def read(raw: Path) -> Iterator[Line]:
    """Yield the lines of a raw file."""
    with gzip.open(raw, "rt") as file:
        yield from map(json.loads, file)


def _measure(name: str, settings: Settings, progress: Progress) -> Path:
    peers = {name: reference for name, reference in PEERS.items() if name not in settings.skip}
    held = prepare(name, settings)
    raw = settings.output / f"raw-{held.name}.jsonl.gz"
    scratch = raw.with_suffix(".part")
    try:
        with gzip.open(scratch, "wt") as file, tempfile.TemporaryDirectory(dir=settings.output) as folder:
            for line in race(held, peers, Path(folder), seed=settings.seed, progress=progress):
                file.write(json.dumps(line) + "\n")
            for left in settings.skip:
                file.write(json.dumps({"kind": "missing", "competitor": left, "reason": "left out"}) + "\n")
        # A run that was stopped leaves the last whole one in place.
        scratch.replace(raw)
    finally:
        scratch.unlink(missing_ok=True)
        held.path.unlink()
    return raw


def _row(found: Race, one: Result) -> dict[str, Any]:
    run, values = found.run, asdict(one)
    return row(
        "search",
        run["dataset"],
        one.competitor,
        params={**one.params, "effort": one.effort, "rows": run["rows"], "dim": run["dim"]},
        metrics={name: values[name] for name in METRICS} if one.missing is None else None,
        seconds=one.p50 if one.missing is None else None,
        peak_bytes=one.build_peak_bytes if one.missing is None else None,
        seed=run["seed"],
        split="held-out queries",
        note=one.missing,
    )
