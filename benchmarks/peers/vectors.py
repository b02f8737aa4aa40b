"""Data set → indexed rows, held-out queries, exact answers. Rows lie in a file that all competitors map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.clustered import Clustered
from benchmarks.datasets import DATASETS, Found, dataset
from benchmarks.job import Settings
from benchmarks.peers.base import Positions, Vectors
from engine.errors import BadInput
from indexers.exact import ExactIndex

# Beyond the deepest k, so that ties at its border are known.
DEPTH = 110
QUERIES, QUICK_QUERIES, QUICK_ROWS = 500, 40, 3000
MADE = {"clustered-100k": (100_000, 500), "clustered-1m": (1_000_000, 100)}
NAMES = (*DATASETS, *MADE)


@dataclass(frozen=True)
class Held:
    """Rows in the file `path` (n, dim) and queries (q, dim) that are not among them, unit float32."""

    name: str
    path: Path
    queries: Vectors

    @property
    def rows(self) -> Vectors:
        return np.asarray(np.load(self.path, mmap_mode="r"))


def prepare(name: str, settings: Settings) -> Held:
    """Return a data set of `NAMES`, or the vectors of `settings.vectors`; raise `Unavailable` if it is not here."""
    if settings.vectors is not None:
        return _split(name, _read(settings.vectors), settings)
    if name in MADE:
        return _made(name, settings)
    if name not in DATASETS:
        raise BadInput(f"there is no data set {name!r}", f"one of: {', '.join(NAMES)}; or --vectors FILE.npy")
    return _split(name, _encoded(dataset(name).find(settings.place()), settings), settings)


def truth(held: Held) -> Iterator[tuple[Positions, NDArray[np.float64]]]:
    """Yield, for each query, positions and scores of the 110 closest rows, best first."""
    index = ExactIndex(held.rows)
    for start in range(len(held.queries)):
        found = index.search(held.queries[start : start + 1], DEPTH)[0]
        yield found.positions, found.scores


def _place(name: str, settings: Settings) -> tuple[str, Path]:
    # A quick run leaves what a whole one measured in place.
    name = f"{name}-quick" if settings.quick else name
    return name, settings.output / f"rows-{name}.npy"


def _made(name: str, settings: Settings) -> Held:
    rows, queries = (QUICK_ROWS, QUICK_QUERIES) if settings.quick else MADE[name]
    made = Clustered(rows, seed=settings.seed)
    name, path = _place(name, settings)
    made.save(path)
    return Held(name, path, made.queries(queries))


def _split(name: str, vectors: Vectors, settings: Settings) -> Held:
    """Hold a random part out as queries."""
    name, path = _place(name, settings)
    order = np.random.default_rng(settings.seed).permutation(len(vectors))
    count = min(QUICK_QUERIES if settings.quick else QUERIES, len(vectors) // 4)
    kept = order[count:][:QUICK_ROWS] if settings.quick else order[count:]
    np.save(path, vectors[kept])
    return Held(name, path, np.array(vectors[order[:count]]))


def _read(path: Path) -> Vectors:
    from engine.store.vectors import unit

    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not a .npy file of numbers: {error}", "np.save(PATH, vectors)") from None
    if loaded.ndim != 2:
        raise BadInput(f"{path} has shape {loaded.shape}, not (n, dim)", "np.save(PATH, vectors)")
    return unit(loaded, path.stem)


def _encoded(found: Found, settings: Settings) -> Vectors:
    """Return the vectors that the bundled network gives, in the order of the images' ids."""
    from benchmarks.stores import NETWORK, embed, store_of
    from engine.progress import Silent
    from engine.store.vectors import sort_key

    store = store_of(found, settings.stores, Silent())
    if found.store is None:
        embed(found, store, NETWORK, Silent())
    vectors = store.vectors(store.space(NETWORK))
    return np.asarray(vectors.matrix[np.argsort(sort_key(vectors.ids), kind="stable")])
