"""`engine search --id` in a fresh process at 100,000 × 512, warm, beside an empty Python process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.data import Datasets
from engine.store import Space, Store
from engine.store.vectors import unit, vector_rows

ROWS, DIM, CLUSTERS = 100_000, 512, 1000
RUNS = 9
SEED = 0


def run(data: Datasets, scratch: Path) -> Iterator[dict[str, Any]]:
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
        "rows": ROWS,
        "dim": DIM,
        "runs": RUNS,
        "seed": SEED,
        "search_seconds": {"median": round(median(search), 3), "least": round(min(search), 3)},
        "python_seconds": round(median(bare), 3),
        "ratio_to_python": round(median(search) / median(bare), 1),
    }


def _seconds(command: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - began


def generate(path: Path, *, rows: int, dim: int, seed: int = SEED) -> Store:
    """Make a store of `rows` images that have metadata and a vector, but no pixels.

    Vectors are 1,000 Gaussian cluster centres plus noise of 0.7 of their length, at unit length: uniform random
    vectors, which have no neighbours, would mislead.
    """
    rng = np.random.default_rng(seed)
    store = Store.create(path)
    run = store.begin("generate", {"rows": rows, "dim": dim, "seed": seed, "spaces": ["made"]})
    space = store.declare(Space("made", "0" * 12, dim, "user"), run)
    centres = rng.standard_normal((CLUSTERS, dim)).astype(np.float32)
    source = hashlib.blake2b(b"made", digest_size=16).digest()
    for start in range(0, rows, 8192):
        count = min(8192, rows - start)
        ids = [hashlib.sha256(f"{seed} {row}".encode()).digest() for row in range(start, start + count)]
        noise = rng.standard_normal((count, dim)).astype(np.float32)
        vectors = centres[rng.integers(0, CLUSTERS, count)] + 0.7 * noise
        store.vectors_table(space).merge(vector_rows(ids, unit(vectors, "made")))
        store.images.merge(_images(ids))
        store.members.merge(_members(source, ids, start, run))
    store.end(run, "generate", {})
    return store


def _images(ids: list[bytes]) -> pa.Table:
    n = len(ids)
    sizes = pa.array([64] * n, pa.int32())
    return pa.table(
        {
            "id": pa.array(ids, pa.binary()),
            "width": sizes,
            "height": sizes,
            "format": pa.array(["NONE"] * n),
            "bytes": pa.array([0] * n, pa.int64()),
        }
    )


def _members(source: bytes, ids: list[bytes], start: int, run: str) -> pa.Table:
    rows = [
        {"source": source, "ordinal": start + i, "name": f"made/{start + i}.none", "size": 0, "image": one, "run": run}
        for i, one in enumerate(ids)
    ]
    from engine.store.schemas import MEMBERS

    return pa.Table.from_pylist(rows, MEMBERS)
