"""An index in the cache: FAISS's files, which row of the space each of its rows is, and what was measured of it.

`STORE/cache/indexes/TABLE/` holds `state.json`, which names the folder NAME that counts, and in that

index/       what the index saved
ids, held    the ids (n, 32) of the rows in it, and (h, 32) of those kept out of it to measure it with
CACHE.*.npy  where those rows lie in the vector cache called CACHE

The state is written last and in one step, so that a build that was killed leaves the index before it in place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import StoreDamaged
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.durable import empty, folders, fsync, locked, own_folder, publish
from engine.store.vectors import LOCK, STATE
from indexers import Index, index_class
from indexers.selected import Selected

# Held while an index is built, so that one build waits for another and searches wait for none.
BUILDING = ".building"
# The index's folder, and to which rows of which vector cache `_place` has matched it.
PLACE = ("name", "cache", "seen", "gone")


@dataclass(frozen=True)
class KeptIndex:
    """An index that was built over some rows of a space's matrix.

    `places` int64 (n,) are the positions of its rows in the matrix, −1 for those that are gone; `loose` int64 are the
    positions of all other rows: those held out, and those that came later. `state` is what was measured.
    """

    state: dict[str, Any]
    index: Index
    places: NDArray[np.int64]
    loose: NDArray[np.int64]

    @property
    def newer(self) -> int:
        """Return how many rows came after the index was built."""
        return len(self.loose) - self.state["held"]


def folder(store: Store, space: Space) -> Path:
    """Return where the index of a space is kept."""
    return store.cache / "indexes" / space.table


def read(store: Store, space: Space) -> dict[str, Any] | None:
    """Return what was measured of the space's index, None if it has none."""
    try:
        state: dict[str, Any] = json.loads((folder(store, space) / STATE).read_text())
    except (OSError, ValueError):
        return None
    # What is no state of ours stands for no index.
    return state if isinstance(state, dict) and "name" in state and "recall" in state else None


def summary(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of an index: its state less where it lies."""
    return {name: value for name, value in state.items() if name not in PLACE}


def write(
    store: Store, space: Space, index: Index, ids: NDArray[np.uint8], held: NDArray[np.uint8], state: dict[str, Any]
) -> dict[str, Any]:
    """Put an index in the place of the one before it; return its state."""
    home, name = folder(store, space), secrets.token_hex(4)
    (home / name).mkdir(parents=True)
    index.save(home / name / "index")
    for part, rows in (("ids", ids), ("held", held)):
        (home / name / part).write_bytes(np.ascontiguousarray(rows).tobytes())
    files = [path for path in (home / name).rglob("*") if path.is_file()]
    for path in files:
        fsync(path)
    whole = {**state, "name": name, "rows": len(ids), "held": len(held), "cache": None}
    whole["bytes"] = sum(path.stat().st_size for path in files)
    with locked(home / LOCK):
        publish(home / STATE, whole)
        empty(home, keep=(LOCK, BUILDING, STATE, name))
    return whole


def load(store: Store, space: Space, vectors: VectorCache) -> KeptIndex | None:
    """Return the space's index over `vectors`; None if there is none, or if it is of a later state than they are.

    Raises `StoreDamaged` if its files cannot be read.
    """
    home = folder(store, space)
    if read(store, space) is None:
        return None
    try:
        # A build in another process may put another index in its place.
        with locked(home / LOCK):
            state = read(store, space)
            if state is None:
                return None
            if state["cache"] != vectors.name:
                state = _place(home, state, vectors)
            if state["seen"] > len(vectors):
                return None
            places, loose = (
                np.load(home / state["name"] / f"{vectors.name}.{part}.npy", mmap_mode="r")
                for part in ("places", "loose")
            )
            kind = index_class(state["kind"])
            index = kind.load(home / state["name"] / "index", Selected(vectors.matrix, places))
    except FileNotFoundError:
        # Whatever is in the cache may be deleted at any time.
        return None
    except (OSError, ValueError, KeyError, EOFError, IndexError, TypeError, MemoryError) as error:
        raise StoreDamaged(
            f"the index of space {space.name!r} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}",
            f"build it again: engine index --space {space.name}",
        ) from None
    later = np.arange(state["seen"], len(vectors))
    return KeptIndex(state, index, places, np.concatenate([loose, later]) if len(later) else np.array(loose))


@contextmanager
def building(store: Store, space: Space) -> Iterator[None]:
    """Hold the space's index for building: another build waits for this one."""
    home = own_folder(store.cache, "indexes", space.table)
    with locked(home / BUILDING):
        yield


def ids_of(store: Store, space: Space, state: dict[str, Any], part: str) -> NDArray[np.uint8]:
    """Return the ids (n, 32) of the rows in the index ("ids") or held out of it ("held")."""
    return np.fromfile(folder(store, space) / state["name"] / part, np.uint8).reshape(-1, ID_BYTES)


def drop(store: Store, space: Space | None = None) -> list[str]:
    """Remove the index of a space, or all there are; return the names of the spaces that had one."""
    spaces = list(store.spaces().values()) if space is None else [space]
    dropped = [one.name for one in spaces if read(store, one) is not None]
    for home in folders(store.cache / "indexes"):
        if space is None or home.name == space.table:
            with locked(home / LOCK):
                # The state first: what it names is there as long as it is.
                (home / STATE).unlink(missing_ok=True)
                empty(home, keep=(LOCK, BUILDING))
    return dropped


def _place(home: Path, state: dict[str, Any], vectors: VectorCache) -> dict[str, Any]:
    """Look up where the index's rows lie in a vector cache that was rebuilt, and keep that."""
    inside = home / state["name"]
    ids = np.fromfile(inside / "ids", np.uint8).reshape(-1, ID_BYTES)
    if len(ids) != state["rows"]:
        raise ValueError(f"{len(ids)} ids for {state['rows']} rows")
    places = vectors.positions(ids)
    free = np.ones(len(vectors), bool)
    free[places[places >= 0]] = False
    for part, rows in (("places", places), ("loose", np.flatnonzero(free))):
        path = inside / f"{vectors.name}.{part}.npy"
        np.save(path, rows)
        fsync(path)
    old, gone = state["cache"], int((places < 0).sum())
    state = {**state, "cache": vectors.name, "seen": len(vectors), "gone": gone}
    publish(home / STATE, state)
    for path in inside.glob(f"{old}.*.npy"):
        path.unlink()
    return state
