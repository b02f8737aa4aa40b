"""Labels from 3 and 30 exemplars beside one pass over the same memory, on one thread; the memory of label spreading.

A pass is one query against all rows: the least that any exact answer reads. The bare matrix product with all exemplars
is the bound that arithmetic sets.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.job import Job, Settings
from benchmarks.suites.measures import report, whole
from engine.progress import Progress
from labelers import Exemplars, nearest, propagate

__all__ = ["jobs", "report"]

ROWS, DIM, CLASSES = 1_000_000, 512, 3
EXEMPLARS = (3, 30)
RUNS = 7
SEED = 0


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("speed", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield what labels by 3 and by 30 exemplars cost beside a pass, then the memory that label spreading takes."""
    for count in EXEMPLARS:
        yield _alone(f"measure({count})")
    yield _alone("spreading()")


def _alone(call: str) -> dict[str, Any]:
    """Return what `call` gives in a process of its own: threads are chosen when NumPy loads, and peaks never fall."""
    code = f"import json; from benchmarks.suites import speed; print(json.dumps(speed.{call}))"
    one = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, **one}, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure(count: int, *, rows: int = ROWS) -> dict[str, Any]:
    """Return what labels by `count` exemplars cost, interleaved with the others, so that all meet the same machine."""
    rng = np.random.default_rng(SEED)
    X = rng.standard_normal((rows, DIM), np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    codes = np.arange(count, dtype=np.int32) % CLASSES
    exemplars = Exemplars(tuple("abc"), X[:count].copy(), codes, np.ones(count, bool))
    seconds = _interleaved(
        {
            "pass": lambda: X @ X[0],
            "product": lambda: [exemplars.matrix @ X[at : at + 8192].T for at in range(0, rows, 8192)],
            "label": lambda: nearest.label(X, exemplars, threshold=0.75, margin=0.02),
        }
    )
    return {
        "method": "label",
        "params": {"rows": rows, "dim": DIM, "exemplars": count, "runs": RUNS},
        "seconds": {name: round(value, 4) for name, value in seconds.items()},
        "label_to_pass": round(seconds["label"] / seconds["pass"], 2),
        "product_to_pass": round(seconds["product"] / seconds["pass"], 2),
        "label_to_product": round(seconds["label"] / seconds["product"], 2),
    }


def _interleaved(tasks: dict[str, Callable[[], object]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(RUNS):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - began)
    return {name: median(values) for name, values in times.items()}


def spreading(*, rows: int = ROWS, neighbours: int = 15) -> dict[str, Any]:
    """Return the peak memory and seconds of label spreading with three classes over a random graph."""
    import resource

    from scipy.sparse import csr_array

    rng = np.random.default_rng(SEED)
    columns = rng.integers(0, rows, rows * neighbours, dtype=np.int32)
    weights = rng.random(rows * neighbours, np.float32)
    graph = csr_array((weights, columns, np.arange(0, rows * neighbours + 1, neighbours)), shape=(rows, rows))
    X = rng.standard_normal((rows, 8), np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    exemplars = Exemplars(tuple("abc"), X[:3], np.arange(3, dtype=np.int32), np.ones(3, bool))
    began = time.perf_counter()
    propagate.label(X, exemplars, threshold=0.5, graph=graph)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "method": "propagate",
        "params": {"rows": rows, "neighbours": neighbours},
        "seconds": round(seconds, 1),
        "peak_gib": round(peak / 2**30, 2),
    }
