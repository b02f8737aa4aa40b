"""The suite `search`: race, raw file, rows, table, picture."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.datasets import Unavailable, is_store
from benchmarks.job import Job, Settings, row
from benchmarks.peers import PEERS
from benchmarks.peers.metrics import Race, Result, measured
from benchmarks.peers.plot import draw
from benchmarks.peers.race import Line, race, versions
from benchmarks.peers.report import markdown, summary
from benchmarks.peers.vectors import STORE, Held, file_digest, identity, own_name, prepare, titled
from benchmarks.protocol import protocol
from benchmarks.scratch import fresh_folder, scratch
from engine.errors import BadInput
from engine.progress import Progress

# The others take up to two hours, and are named: cifar10, clustered-100k, clustered-1m.
DEFAULT, QUICK = ("caltech101",), ("sample", "clustered-100k")
SUITE = "search"
LEFT_OUT, UNFINISHED = "left out", "unfinished"
METRICS = ("recall_at_10", "recall_at_100", "p50", "p95", "queries_per_second", "build_seconds", "size_bytes")


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a race for each data set, which gives a row for each competitor and effort, and leaves its raw file."""
    skipped = left_out(settings)
    for name in names(settings):
        try:
            called, digest = identity(name, settings)
        except Unavailable as error:
            yield Job({"dataset": name, "missing": str(error)}, partial(_absent, name, str(error)))
            continue
        told = {"dataset": titled(called, settings), "vectors": digest, "skip": skipped, "seed": settings.seed}
        key = Job(told, list).key(SUITE, protocol(SUITE), quick=settings.quick)
        yield Job(told, partial(_rows, name, settings, progress, key))


def left_out(settings: Settings) -> list[str]:
    """Return the competitors that `--skip` names; raise `BadInput` if one is none."""
    if unknown := set(settings.skip) - PEERS.keys():
        raise BadInput(f"there is no competitor {min(unknown)!r}", f"they are {', '.join(PEERS)}")
    return sorted(settings.skip)


def names(settings: Settings) -> tuple[str, ...]:
    """Return what is raced over: a file of vectors, the data sets named, the user's store, or the suite's own."""
    if settings.vectors is not None:
        if settings.datasets:
            raise BadInput("--vectors is a race of its own, and so is each --dataset", "give one of them")
        return (own_name(settings.vectors),)
    if settings.datasets:
        return settings.datasets
    return (STORE,) if is_store(settings.data) else QUICK if settings.quick else DEFAULT


def _absent(name: str, note: str) -> list[dict[str, Any]]:
    return [row(SUITE, name, "none", note=note)]


def _rows(name: str, settings: Settings, progress: Progress, key: str) -> list[dict[str, Any]]:
    try:
        found = _measure(name, settings, progress, key)
    except Unavailable as error:
        return _absent(name, str(error))
    return [_row(found, one) for one in found.results]


def report(rows: Sequence[dict[str, Any]], settings: Settings, progress: Progress) -> None:
    """Write NAME.md and NAME.png of each data set from its raw file, and summary.md of all of them.

    A raw file that another race left since has nothing to do with these rows: it is passed over.
    """
    races = []
    for name in dict.fromkeys(one["dataset"] for one in rows if one["available"]):
        raw = settings.output / f"raw-{name}.jsonl.gz"
        if not raw.exists():
            continue
        found = measured(read(raw))
        if found.run.get("key") not in {one.get("key") for one in rows if one["dataset"] == name}:
            progress.note(f"{raw} is of another race: no table of {name}; measure it again: --recompute")
            continue
        (settings.output / f"{name}.md").write_text(markdown(found))
        draw(found, settings.output / f"{name}.png")
        progress.note(f"written: {settings.output}/{name}.md, {name}.png")
        races.append(found)
    if races:
        (settings.output / f"{titled('summary', settings)}.md").write_text(summary(races))


def read(raw: Path) -> Iterator[Line]:
    """Yield the lines of a raw file; raise `BadInput` if it is damaged."""
    try:
        with gzip.open(raw, "rt") as file:
            yield from map(json.loads, file)
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise BadInput(f"{raw} is damaged: {error}", "measure it again: --recompute") from None


def _measure(name: str, settings: Settings, progress: Progress, key: str) -> Race:
    peers = {name: reference for name, reference in PEERS.items() if name not in settings.skip}
    asked = {"key": key, "quick": settings.quick}
    # A run that was stopped leaves the last whole raw file in place, and what it has built.
    with scratch(settings.output) as folder:
        held = prepare(name, settings, folder)
        unfinished = settings.output / f"{UNFINISHED}-{held.name}"
        building = _building(held, unfinished)
        part, raw = folder / "raw.part", settings.output / f"raw-{held.name}.jsonl.gz"
        with gzip.open(part, "wt") as file:
            for line in race(held, peers, building, seed=settings.seed, progress=progress, asked=asked):
                file.write(json.dumps(line) + "\n")
            for left in dict.fromkeys(settings.skip):
                file.write(json.dumps({"kind": "missing", "competitor": left, "reason": LEFT_OUT}) + "\n")
        found = measured(read(part))
        part.replace(raw)
    shutil.rmtree(unfinished, ignore_errors=True)
    return found


def _building(held: Held, unfinished: Path) -> Path:
    """Return the folder where competitors are built: that of a stopped race over the same rows, or a new one."""
    same = json.dumps([file_digest(held.path), protocol(SUITE), versions()]).encode()
    folder = unfinished / hashlib.sha256(same).hexdigest()[:16]
    if not folder.is_dir():
        fresh_folder(unfinished)
        folder.mkdir()
    return folder


def _row(found: Race, one: Result) -> dict[str, Any]:
    run, values = found.run, asdict(one)
    return row(
        SUITE,
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
