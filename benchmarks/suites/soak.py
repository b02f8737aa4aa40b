"""How commands grow with the collection: memory and seconds of each at rows/100, rows/10 and rows, 32-d vectors."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.job import Job, Settings, row
from benchmarks.made.generate import SPACE
from benchmarks.processes import watched
from benchmarks.suites.measures import how_many, report
from engine.progress import Progress

__all__ = ["jobs", "report"]

# At a hundredth of the least the image @78 is still there.
ROWS, QUICK_ROWS, LEAST, DIM = 10_000_000, 10_000, 10_000, 32
# In this order, each as its own process: what a removal leaves must pass `verify` again.
COMMANDS = {
    "verify": ["verify"],
    "search, first": ["search", "--id", "@77"],
    "search, again": ["search", "--id", "@78"],
    "search --where": ["search", "--id", "@77", "--where", "ordinal % 100 = 7"],
    "graph": ["graph", "--space", SPACE, "-k", "15"],
    "remove one": ["remove", "@77"],
    "remove 1 %": ["remove", "--where", "ordinal % 100 = 3"],
    "verify after": ["verify"],
}
GENERATE = """
import sys
from pathlib import Path
from benchmarks.made.generate import generate
generate(Path(sys.argv[1]), rows=int(sys.argv[2]), dim=int(sys.argv[3]), seed=int(sys.argv[4]))
"""


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each size, with a row for each command; one that fails or is not there says so in its row."""
    most = how_many(settings, ROWS, QUICK_ROWS, least=LEAST)
    for rows in (most // 100, most // 10, most):
        told = {"dataset": f"made-{rows}", "dim": DIM, "seed": settings.seed}
        yield Job(told, partial(_rows, settings, rows, progress))


def _rows(settings: Settings, rows: int, progress: Progress) -> list[dict[str, Any]]:
    store = settings.output / f"soak-{rows}"
    shutil.rmtree(store, ignore_errors=True)
    try:
        return list(_size(store, rows, settings.seed, progress))
    finally:
        shutil.rmtree(store, ignore_errors=True)


def _size(store: Path, rows: int, seed: int, progress: Progress) -> Iterator[dict[str, Any]]:
    generate = [sys.executable, "-c", GENERATE, str(store), str(rows), str(DIM), str(seed)]
    engine = [sys.executable, "-m", "engine"]
    commands = {"generate": generate, **{name: [*engine, *words] for name, words in COMMANDS.items()}}
    for name, command in commands.items():
        if name != "generate":
            command = [*command, "--store", str(store)]
        ran = watched(command)
        progress.note(f"{rows:,} rows: {name}: {ran.peak_bytes / 2**20:,.0f} MiB, {ran.seconds:.1f} s")
        yield row(
            "soak",
            f"made-{rows}",
            name,
            params={"rows": rows, "dim": DIM},
            metrics=None if ran.code else {"processor_seconds": ran.processor_seconds},
            seconds=ran.seconds,
            peak_bytes=ran.peak_bytes,
            seed=seed,
            space=SPACE,
            note=ran.failure,
        )
