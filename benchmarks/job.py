"""What a suite consists of: jobs that can be told apart before they run, and the rows that they give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.datasets import Place
from engine.progress import Progress, Silent

# Quick runs of the suites about quality look at these two, which come with the project and its libraries.
QUICK_DATASETS = ("sample", "digits")
QUICK_SEEDS = 2


@dataclass(frozen=True)
class Settings:
    """What a suite is given; what does not concern it, it leaves alone. `output` is the suite's folder, and there."""

    output: Path
    data: Path = Path("data")
    datasets: tuple[str, ...] = ()
    spaces: tuple[str, ...] = ()
    seeds: int = 3
    rows: int | None = None
    vectors: Path | None = None
    quick: bool = False
    reuse: bool = False
    recompute: bool = False
    download: bool = False
    skip: tuple[str, ...] = ()
    seed: int = 0

    @property
    def stores(self) -> Path:
        """Return the folder of the stores that all suites share."""
        return self.output.parent / "stores"

    def place(self, progress: Progress | None = None) -> Place:
        """Return where data sets are looked for."""
        return Place(self.data, self.output.parent / "sources", self.download, self.quick, progress or Silent())

    def every_seed(self) -> range:
        """Return the seeds of a run."""
        return range(min(self.seeds, QUICK_SEEDS) if self.quick else self.seeds)


@dataclass(frozen=True)
class Job:
    """One thing to measure. `what` tells it from all others; `run` gives its rows, made by `row`."""

    what: Mapping[str, Any]
    run: Callable[[], Iterable[dict[str, Any]]] = field(compare=False)

    def key(self, suite: str, protocol: str, *, quick: bool) -> str:
        """Return what the rows of this job are found by: another protocol is another measurement."""
        text = json.dumps([suite, protocol, quick, self.what], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def row(
    suite: str,
    dataset: str,
    method: str,
    *,
    params: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    chance: Mapping[str, float | None] | None = None,
    seconds: float | None = None,
    peak_bytes: int | None = None,
    seed: int | None = 0,
    split: str | None = None,
    space: str | None = None,
    fingerprint: str | None = None,
    store_version: Mapping[str, int] | None = None,
    data: str | None = None,
    pixels: str | None = None,
    images: int | None = None,
    leakage: Mapping[str, Any] | None = None,
    note: str | None = None,
) -> dict[str, Any]:
    """Return a row as `engine bench --json` prints it; without `metrics` it was not available, and `note` says why.

    `seed` is None where nothing is drawn: any other run would give the same. `data` tells images, labels and splits
    from others of the same name.
    """
    return {
        "suite": suite,
        "dataset": dataset,
        "data": data,
        "pixels": pixels,
        "split": split,
        "images": images,
        "space": space,
        "method": method,
        "seed": seed,
        "params": dict(params or {}),
        "metrics": dict(metrics or {}),
        "chance": None if chance is None else dict(chance),
        "leakage": None if leakage is None else dict(leakage),
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "store_version": None if store_version is None else dict(store_version),
        "fingerprint": fingerprint,
        "published": None,
        "available": metrics is not None,
        "note": note,
    }
