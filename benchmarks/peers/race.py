"""Turns: every competitor answers the same block of queries before anybody answers the next. Raw lines come out.

The `kind` of a line: `run` (what was measured, where), `truth` (exact answers of a query), `build`, `missing`, `block`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.peers.base import Effort
from benchmarks.peers.vectors import Held, truth
from benchmarks.peers.worker import Failed, Worker
from benchmarks.scratch import fresh_folder
from engine.progress import Progress
from engine.store.durable import write_whole

ROUNDS = 5
# Of a build that came to its end: the file that says so, and what it says at least.
BUILT, KNOWN = "built.json", {"seconds", "peak_bytes", "size_bytes"}
PACKAGES = ("numpy", "faiss-cpu", "lancedb", "hnswlib", "usearch", "scikit-learn")
Line = dict[str, Any]


def race(
    held: Held,
    peers: Mapping[str, str],
    folder: Path,
    *,
    seed: int,
    progress: Progress,
    asked: Mapping[str, Any] | None = None,
) -> Iterator[Line]:
    """Yield the raw lines. A round takes a fifth of the queries, its competitors in an order of its own.

    `folder` is where competitors are built. What a race that was stopped has built there is taken up, not built again.
    `asked` goes into the line `run`: what tells this race from another over a data set of the same name.
    """
    yield {"kind": "run", "dataset": held.name, "rows": len(held.rows), "dim": held.rows.shape[1],
           "queries": len(held.queries), "rounds": ROUNDS, "seed": seed, "threads": 1,
           **(asked or {}), **versions()}  # fmt: skip
    for query, (positions, scores) in enumerate(truth(held)):
        yield {"kind": "truth", "query": query, "ids": positions.tolist(), "scores": scores.tolist()}
    workers: dict[str, Worker] = {}
    efforts: dict[str, list[Effort]] = {}
    with ExitStack() as started:
        for name, reference in peers.items():
            place = folder / name.replace(" ", "-")
            start = partial(_started, started, reference, held, place)
            try:
                workers[name], built = _ready(f"{held.name}: {name}", start, place, progress)
            except Failed as reason:
                yield {"kind": "missing", "competitor": name, "reason": str(reason)}
                continue
            efforts[name] = built["efforts"]
            yield {"kind": "build", "competitor": name, **built}
        yield from _turns(workers, efforts, len(held.queries), seed, progress)


def _started(started: ExitStack, reference: str, held: Held, place: Path) -> Worker:
    return started.enter_context(closing(Worker(reference, held.path, place, held.queries)))


def _ready(title: str, start: Callable[[], Worker], place: Path, progress: Progress) -> tuple[Worker, Line]:
    """Return a competitor that can be asked, and what is known of its build in the folder `place`: before, or now."""
    if known := _built_before(place):
        progress.note(f"{title}: taken up")
        worker = start()
        try:
            return worker, {**known, **worker.load()}
        except Failed as reason:
            progress.note(f"{title}: what was built cannot be read: {reason}")
    progress.note(f"{title}: build")
    # What a race that was stopped had begun there, or what is damaged.
    fresh_folder(place)
    worker = start()
    built = worker.build()
    write_whole(place / BUILT, json.dumps(built).encode())
    return worker, built


def _built_before(place: Path) -> Line | None:
    """Return what is known of a build that came to its end in the folder `place`, None if none did."""
    try:
        known = json.loads((place / BUILT).read_text())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) and known.keys() >= KNOWN else None


def _turns(
    workers: Mapping[str, Worker], efforts: dict[str, list[Effort]], queries: int, seed: int, progress: Progress
) -> Iterator[Line]:
    rng = np.random.default_rng(seed)
    ladder = max((len(steps) for steps in efforts.values()), default=0)
    for number, block in enumerate(np.array_split(np.arange(queries), min(ROUNDS, queries))):
        progress.note(f"round {number + 1} of {min(ROUNDS, queries)}")
        for step in range(ladder):
            for name in rng.permutation([name for name, steps in efforts.items() if step < len(steps)]):
                name = str(name)
                try:
                    yield from _turn(workers[name], name, efforts[name][step], number, block)
                except Failed as reason:
                    yield {"kind": "missing", "competitor": name, "reason": str(reason)}
                    del efforts[name]


def _turn(worker: Worker, name: str, effort: Effort, number: int, block: np.ndarray) -> Iterator[Line]:
    first, last = int(block[0]), int(block[-1]) + 1
    # Recall at 100 needs no more than one block of queries.
    for mode, k in (("single", 10), ("batch", 10), *([("batch", 100)] if number == 0 else [])):
        answer = worker.ask(first, last, k, effort, batch=mode == "batch")
        yield {"kind": "block", "competitor": name, "effort": effort, "round": number, "mode": mode, "k": k,
               "first": first, **answer}  # fmt: skip


def versions() -> dict[str, Any]:
    """Return what a figure depends on: processor, Python, versions of the competitors."""
    return {"cpu": machine()["processor"], "python": platform.python_version(), "versions": dict(_versions())}


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue
