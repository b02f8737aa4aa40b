"""The suite `search`: race, raw file, rows, table, picture."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.peers.metrics import Race, Result, measured
from benchmarks.peers.plot import draw
from benchmarks.peers.race import Line, race
from benchmarks.peers.report import markdown, summary
from benchmarks.peers.vectors import prepare
from benchmarks.suites import Settings, row
from engine.errors import BadInput
from engine.progress import Progress

DEFAULT = ("caltech101", "clustered-100k")
METRICS = ("recall_at_10", "recall_at_100", "p50", "p95", "queries_per_second", "build_seconds", "size_bytes")


def run(settings: Settings, progress: Progress) -> Iterator[dict[str, Any]]:
    """Yield a row for each competitor and effort; write raw-NAME.jsonl.gz, NAME.md and NAME.png."""
    names = settings.datasets or ((settings.vectors.stem,) if settings.vectors else DEFAULT)
    raws = _raws(settings) if settings.reuse else (_measure(name, settings, progress) for name in names)
    races: list[Race] = []
    for raw in raws:
        found = measured(read(raw))
        races.append(found)
        stem = raw.name.removeprefix("raw-").removesuffix(".jsonl.gz")
        (raw.parent / f"{stem}.md").write_text(markdown(found))
        draw(found, raw.parent / f"{stem}.png")
        progress.note(f"written: {raw.parent}/{stem}.md, {stem}.png")
        yield from (_row(found, one) for one in found.results)
    (settings.output / "summary.md").write_text(summary(races))


def read(raw: Path) -> Iterator[Line]:
    """Yield the lines of a raw file."""
    with gzip.open(raw, "rt") as file:
        yield from map(json.loads, file)


def _raws(settings: Settings) -> list[Path]:
    found = sorted(settings.output.glob("raw-*.jsonl.gz"))
    if settings.datasets:
        found = [raw for raw in found if raw.name.removeprefix("raw-").removesuffix(".jsonl.gz") in settings.datasets]
    if not found:
        raise BadInput(f"there is no raw-*.jsonl.gz in {settings.output}", "measure first: engine bench search")
    return found


def _measure(name: str, settings: Settings, progress: Progress) -> Path:
    if unknown := set(settings.skip) - PEERS.keys():
        raise BadInput(f"there is no competitor {min(unknown)!r}", f"they are {', '.join(PEERS)}")
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
