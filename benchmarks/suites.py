"""The suites of `engine bench`, what they are given, and the row that each gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.data import DATA
from engine.progress import Progress

SUITES = {
    "search": "benchmarks.peers.suite:run",
    "bars": "benchmarks.bars:run",
    "soak": "benchmarks.soak:run",
    "labels": "benchmarks.labels:run",
}


@dataclass(frozen=True)
class Settings:
    """What a suite is given; what does not concern it, it leaves alone. `output` is a folder that is there."""

    output: Path
    data: Path = DATA
    datasets: tuple[str, ...] = ()
    rows: int | None = None
    vectors: Path | None = None
    quick: bool = False
    reuse: bool = False
    skip: tuple[str, ...] = ()
    seed: int = 0


def suite(name: str) -> Callable[[Settings, Progress], Iterator[dict[str, Any]]]:
    """Return the function that runs a suite and yields its rows."""
    module, _, function = SUITES[name].partition(":")
    run: Callable[[Settings, Progress], Iterator[dict[str, Any]]] = getattr(import_module(module), function)
    return run


def row(
    suite: str,
    dataset: str,
    method: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    seconds: float | None = None,
    peak_bytes: int | None = None,
    seed: int = 0,
    split: str | None = None,
    space: str | None = None,
    fingerprint: str | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """Return a row as `engine bench --json` prints it; without `metrics` it was not available, and `note` says why."""
    return {
        "suite": suite,
        "dataset": dataset,
        "split": split,
        "space": space,
        "method": method,
        "seed": seed,
        "params": dict(params or {}),
        "metrics": dict(metrics or {}),
        "chance": None,
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "store_version": None,
        "fingerprint": fingerprint,
        "published": None,
        "available": metrics is not None,
        "note": note,
    }
