"""Data set → indexed rows, held-out queries, exact answers. Rows lie in a file that all competitors map."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import DATASETS, Found, Unavailable, dataset
from benchmarks.datasets.base import OWN_VECTORS
from benchmarks.job import Settings
from benchmarks.made.clustered import Clustered
from benchmarks.peers.base import Positions, Vectors
from engine.errors import BadInput, EmptySpace
from indexers.exact import ExactIndex

# Beyond the deepest k, so that ties at its border are known.
DEPTH = 110
QUERIES, QUICK_QUERIES, QUICK_ROWS = 500, 40, 3000
MADE = {"clustered-100k": (100_000, 500), "clustered-1m": (1_000_000, 100)}
NAMES = (*DATASETS, *MADE)
STORE = "store"
# One query for three rows is the least that can be asked.
LEAST = 4
BLOCK_ROWS = 65_536


@dataclass(frozen=True)
class Held:
    """Rows in the file `path` (n, dim) and queries (q, dim) that are not among them, unit float32."""

    name: str
    path: Path
    queries: Vectors

    @property
    def rows(self) -> Vectors:
        return np.asarray(np.load(self.path, mmap_mode="r"))


def own_name(path: Path) -> str:
    """Return what rows call the vectors of a file: never the name of a data set."""
    return f"{OWN_VECTORS}{path.stem}"


def identity(name: str, settings: Settings) -> tuple[str, str | None]:
    """Return what rows call a data set, and a digest of the vectors if they are the user's own.

    Raise `Unavailable` if the user's store is none, or has no vectors of the bundled network.
    """
    if settings.vectors is not None:
        return name, file_digest(settings.vectors)
    if name != STORE:
        return name, None
    found = dataset(name).find(settings.place())
    matrix, order = _space(found, settings)
    digest = hashlib.blake2b(str(matrix.shape).encode(), digest_size=16)
    for start in range(0, len(order), BLOCK_ROWS):
        digest.update(np.ascontiguousarray(matrix[order[start : start + BLOCK_ROWS]]).data)
    return found.name, digest.hexdigest()


def prepare(name: str, settings: Settings, folder: Path) -> Held:
    """Return a data set of `NAMES`, or the vectors of `settings.vectors`, with its rows in a file in `folder`.

    Raise `Unavailable` if it is not here.
    """
    path = folder / "rows.npy"
    if settings.vectors is not None:
        return _split(name, read_vectors(settings.vectors), path, settings)
    if name in MADE:
        return _made(name, path, settings)
    if name not in DATASETS:
        raise BadInput(f"there is no data set {name!r}", f"one of: {', '.join(NAMES)}; or --vectors FILE.npy")
    found = dataset(name).find(settings.place())
    matrix, order = _space(found, settings)
    return _split(found.name if name == STORE else name, matrix[order], path, settings)


def truth(held: Held) -> Iterator[tuple[Positions, NDArray[np.float64]]]:
    """Yield, for each query, positions and scores of the 110 closest rows, best first."""
    index = ExactIndex(held.rows)
    for start in range(len(held.queries)):
        found = index.search(held.queries[start : start + 1], DEPTH)[0]
        yield found.positions, found.scores


def titled(name: str, settings: Settings) -> str:
    """Return what a data set is called in rows and files; a quick run leaves what a whole one measured in place."""
    return f"{name}-quick" if settings.quick else name


def _made(name: str, path: Path, settings: Settings) -> Held:
    rows, queries = (QUICK_ROWS, QUICK_QUERIES) if settings.quick else MADE[name]
    made = Clustered(rows, seed=settings.seed)
    made.save(path)
    return Held(titled(name, settings), path, made.queries(queries))


def _split(name: str, vectors: Vectors, path: Path, settings: Settings) -> Held:
    """Hold a random part out as queries."""
    if len(vectors) < LEAST:
        raise BadInput(f"{name} has {len(vectors)} vectors", f"a race takes at least {LEAST}")
    order = np.random.default_rng(settings.seed).permutation(len(vectors))
    count = min(QUICK_QUERIES if settings.quick else QUERIES, len(vectors) // 4)
    kept = order[count:][:QUICK_ROWS] if settings.quick else order[count:]
    np.save(path, vectors[kept])
    return Held(titled(name, settings), path, np.array(vectors[order[:count]]))


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes; raise `BadInput` if there is none."""
    if not path.is_file():
        raise BadInput(f"there is no file {path}", "np.save(PATH, vectors)")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def read_vectors(path: Path, rows: int | None = None) -> Vectors:
    """Return the first `rows` vectors (n, dim) of a .npy file at unit length; raise `BadInput` if it holds none."""
    from engine.store.vectors import unit

    remedy = "np.save(PATH, vectors)"
    if not path.is_file():
        raise BadInput(f"there is no file {path}", remedy)
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        said = (str(error).splitlines() or [""])[0]
        raise BadInput(f"{path} is not a .npy file of numbers: {said}", remedy) from None
    if not isinstance(loaded, np.ndarray):
        raise BadInput(f"{path} is an .npz archive, not a .npy file", remedy)
    if loaded.ndim != 2:
        raise BadInput(f"{path} has shape {loaded.shape}, not (n, dim)", remedy)
    if loaded.dtype.kind not in "fiu":
        raise BadInput(f"{path} has {loaded.dtype} instead of real numbers", remedy)
    return unit(loaded[:rows], path.stem)


def _space(found: Found, settings: Settings) -> tuple[Vectors, NDArray[np.int64]]:
    """Return the vectors that the bundled network gives, and their order by the images' ids."""
    from benchmarks.subjects.stores import NETWORK, embed, store_of
    from engine.progress import Silent
    from engine.store.vectors import sort_key

    store = store_of(found, settings.stores, Silent())
    if found.store is None:
        embed(found, store, NETWORK, Silent())
    try:
        vectors = store.vectors(store.space(NETWORK))
    except EmptySpace as error:
        raise Unavailable(str(error)) from None
    return vectors.matrix, np.argsort(sort_key(vectors.ids), kind="stable")
