"""The bars: what the machine, FAISS and memory allow beside what is reached, as ratios taken in one run, in turns."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.job import Job, Settings, row
from benchmarks.made.clustered import Clustered
from benchmarks.made.generate import generate
from benchmarks.peers import PEERS
from benchmarks.peers.base import Vectors
from benchmarks.peers.metrics import Race, Result, cheapest, measured
from benchmarks.peers.race import race
from benchmarks.peers.suite import LEFT_OUT, left_out, read
from benchmarks.peers.vectors import Held
from benchmarks.scratch import scratch
from benchmarks.suites.measures import how_many, report
from engine.progress import Progress
from indexers import INDEXES

__all__ = ["jobs", "report"]

ROWS, QUICK_ROWS, LEAST, DIM = 1_000_000, 20_000, 1000, 512
ROUNDS, BATCH, QUERIES, K = 15, 256, 200, 10
# What each ratio has to be: at most, or at least.
AT_MOST = {"flat, one query": 1.15, "whole search": 1.3}
AT_LEAST = {"flat, batch of 256": 0.85, "best approximate index": 60.0}
BUILD_AT_MOST = 0.6
RECALL = 0.99
# Rows of a block of scores, so that those of 256 queries over a million rows need no gigabyte.
BLOCK_ROWS = 16_384
SEARCH = "search"
FLAT, ANN = "engine flat", ("engine hnsw", "engine ivf", "engine ivf sq8", "engine pq", "engine ivfpq")
OURS = (FLAT, *ANN)


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield one job with a row for each bar: its ratio, what it has to be, and whether it is met."""
    rows = how_many(settings, ROWS, QUICK_ROWS, least=LEAST)
    skipped = [name for name in left_out(settings) if name in OURS]
    told = {"dataset": f"clustered-{rows}", "dim": DIM, "seed": settings.seed}
    yield Job({**told, **({"skip": skipped} if skipped else {})}, partial(_measured, settings, rows, progress))


def _measured(settings: Settings, rows: int, progress: Progress) -> Iterator[dict[str, Any]]:
    with scratch(settings.output) as folder:
        held = _made(rows, folder, settings.seed)
        with _one_thread():
            for name, measure in (("flat, one query", _single), ("flat, batch of 256", _batch)):
                progress.note(name)
                yield _bar(name, rows, measure(held))
            progress.note("whole search")
            yield _bar("whole search", rows, _whole(rows, folder / "store", settings.seed))
        found = _raced(held, folder, settings, progress)
        yield _approximate(found, rows)
        yield from _builds(found, rows)


def in_turns(calls: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median seconds of each call, after one that is not counted; one round calls each once."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(taken[1:]) for name, taken in seconds.items()}


def _made(rows: int, folder: Path, seed: int) -> Held:
    made = Clustered(rows, DIM, seed)
    path = folder / "rows.npy"
    made.save(path)
    return Held(f"clustered-{rows}", path, made.queries(max(QUERIES, BATCH)))


def _flat(X: Vectors) -> Any:
    module, _, name = INDEXES["flat" if "flat" in INDEXES else "exact"].partition(":")
    index = getattr(import_module(module), name)()
    index.add(X)
    return index


def _single(held: Held) -> dict[str, float]:
    X, q = held.rows, held.queries[:1]
    line, index = X.ravel(), _flat(X)
    taken = in_turns(
        {
            "gemv": lambda: X @ q[0],
            "dot": lambda: line @ line,
            "max": line.max,
            "flat": lambda: index.search(q, K),
        }
    )
    return {"ratio": taken["flat"] / min(taken["gemv"], taken["dot"], taken["max"]), **taken}


def _batch(held: Held) -> dict[str, float]:
    X, Q = held.rows, held.queries[:BATCH]
    index, scores = _flat(X), np.empty(BATCH * BLOCK_ROWS, np.float32)

    def sgemm() -> None:
        for start in range(0, len(X), BLOCK_ROWS):
            block = X[start : start + BLOCK_ROWS]
            np.matmul(Q, block.T, out=scores[: BATCH * len(block)].reshape(BATCH, len(block)))

    taken = in_turns({"sgemm": sgemm, "flat": lambda: index.search(Q, K)}, rounds=5)
    return {"ratio": taken["sgemm"] / taken["flat"], **taken, "queries_per_second": BATCH / taken["flat"]}


def _whole(rows: int, store: Path, seed: int) -> dict[str, float]:
    """Time `engine.open(path).search(id=…)`, warm, names and metadata included, beside FAISS over the same file."""
    import faiss

    import engine

    opened = generate(store, rows=rows, dim=DIM, seed=seed)
    try:
        X = opened.vectors(opened.space(None)).matrix
        collection, q = engine.open(store), np.array(X[77:78])
        taken = in_turns(
            {
                "faiss": lambda: faiss.knn(q, X, K, metric=faiss.METRIC_INNER_PRODUCT),
                "search": lambda: collection.search(id="@77", k=K),
            }
        )
    finally:
        shutil.rmtree(store)
    return {"ratio": taken["search"] / taken["faiss"], **taken}


def _raced(held: Held, folder: Path, settings: Settings, progress: Progress) -> Race:
    """Return our indexes side by side: from the raw file of `search`, if that raced them over the same rows."""
    raw = settings.output.parent / SEARCH / "raw-clustered-1m.jsonl.gz"
    if raw.exists() and not settings.recompute and len(held.rows) == ROWS:
        found = measured(read(raw))
        if same_race(found, held, settings):
            progress.note(f"approximate indexes: from {raw}")
            return found
    progress.note("approximate indexes")
    peers = {name: PEERS[name] for name in OURS if name not in settings.skip}
    found = measured(race(held, peers, folder, seed=settings.seed, progress=progress))
    return Race(found.run, [*found.results, *(Result(name, missing=LEFT_OUT) for name in OURS if name not in peers)])


def same_race(found: Race, held: Held, settings: Settings) -> bool:
    """Say whether a race had these made rows and our indexes, but for those that `--skip` names."""
    had = {one.competitor: one.missing for one in found.results}
    rows = {"rows": len(held.rows), "dim": held.rows.shape[1], "seed": settings.seed}
    return all(found.run.get(name) == value for name, value in rows.items()) and all(
        name in had and (had[name] == LEFT_OUT) == (name in settings.skip) for name in OURS
    )


def _approximate(found: Race, rows: int) -> dict[str, Any]:
    there = {one.competitor: one for one in found.results if one.missing is None}
    best = cheapest((one for one in found.results if one.competitor in ANN and one.missing is None), RECALL)
    if FLAT not in there or best is None:
        absent = [f"{one.competitor}: {one.missing}" for one in found.results if one.missing and one.competitor in OURS]
        if FLAT in there and there.keys() & set(ANN):
            absent.insert(0, f"none reached recall@10 {RECALL}")
        return _row("best approximate index", rows, None, note="; ".join(absent) or "no index was measured")
    flat = there[FLAT]
    values = {"ratio": flat.p50 / best.p50, "flat": flat.p50, "index": best.p50, "recall_at_10": best.recall_at_10}
    return _bar("best approximate index", rows, values, note=f"{best.competitor}, effort {best.effort}")


def _builds(found: Race, rows: int) -> Iterator[dict[str, Any]]:
    """Yield, for each index, its build's own memory beyond the finished index ÷ the vectors."""
    vectors = rows * DIM * 4
    for name in ANN:
        one: Result | None = next((one for one in found.results if one.competitor == name), None)
        if one is None or one.missing is not None:
            yield _row(f"build of {name}", rows, None, note=one.missing if one else None)
            continue
        # The size counts the vectors, which lie in a file and not in the builder's memory.
        index = one.size_bytes - vectors
        ratio = max(0, one.build_peak_bytes - index) / vectors
        metrics = {"ratio": ratio, "at_most": BUILD_AT_MOST, "met": ratio <= BUILD_AT_MOST, "index_bytes": index}
        yield _row(f"build of {name}", rows, metrics, peak_bytes=one.build_peak_bytes, seconds=one.build_seconds)


def _bar(name: str, rows: int, values: Mapping[str, float], *, note: str | None = None) -> dict[str, Any]:
    ratio = values["ratio"]
    if name in AT_MOST:
        bar: dict[str, Any] = {"at_most": AT_MOST[name], "met": ratio <= AT_MOST[name]}
    else:
        bar = {"at_least": AT_LEAST[name], "met": ratio >= AT_LEAST[name]}
    return _row(name, rows, {**values, **bar}, note=note)


def _row(name: str, rows: int, metrics: Mapping[str, Any] | None, **facts: Any) -> dict[str, Any]:
    return row("bars", f"clustered-{rows}", name, params={"rows": rows, "dim": DIM}, metrics=metrics, **facts)


def _one_thread() -> Any:
    import faiss
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    return threadpool_limits(1)
