"""`engine search --id` in a fresh process at 100,000 × 512, warm, beside an empty Python process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.job import Job, Settings
from benchmarks.made.generate import generate
from benchmarks.suites.measures import report, whole
from engine.progress import Progress

__all__ = ["jobs", "report"]

ROWS, DIM = 100_000, 512
RUNS = 9
SEED = 0


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("start", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield the median seconds of a search process and of a bare Python process."""
    store = scratch / "store"
    generate(store, rows=ROWS, dim=DIM)
    command = [sys.executable, "-m", "engine", "search", "--id", "77", "-k", "10", "--store", str(store)]
    _seconds(command)
    search, bare = [], []
    for _ in range(RUNS):
        search.append(_seconds(command))
        bare.append(_seconds([sys.executable, "-c", "pass"]))
    yield {
        "params": {"rows": ROWS, "dim": DIM, "runs": RUNS},
        "seed": SEED,
        "search_seconds": {"median": round(median(search), 3), "least": round(min(search), 3)},
        "python_seconds": round(median(bare), 3),
        "ratio_to_python": round(median(search) / median(bare), 1),
    }


def _seconds(command: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began
