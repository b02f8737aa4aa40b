"""An index in the cache: FAISS's files, which row of the space each of its rows is, and what was measured of it.

`STORE/cache/indexes/TABLE/` holds `state.json`, which names the folder NAME that counts, and in that

index/       what the index saved
ids, held    the ids (n, 32) of the rows in it, and (h, 32) of those kept out of it to measure it with
probe.npy    int64 (p, 2): of a few rows of it, which they are and the checksum of their vectors
CACHE.*.npy  where those rows lie in the vector cache called CACHE

It answers for the vectors that it was built of and for no others, whoever put it there: its files are sealed, and where
its rows are looked up in a vector cache, the vectors of the probe have to be the same. The state is written last and
in one step, so that a build that was killed leaves the index before it in place.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import StoreDamaged
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.durable import empty, folders, fsync, is_unwritable, locked, own_folder, publish
from engine.store.seals import STATE, all_renewed, seal
from engine.store.vectors import LOCK
from indexers import Index, index_class
from indexers.selected import Selected

# Held while an index is built, so that one build waits for another and searches wait for none.
BUILDING = ".building"
# The index's folder, and to which rows of which vector cache `_place` has matched it.
PLACE = ("name", "cache", "seen", "gone", "seals")
PARTS = ("places", "loose")
PROBES = 256
# What a search, an addition and `engine info` take from the state.
NEEDED = {
    "space": str, "kind": str, "params": dict, "rows": int, "held": int, "trained": bool, "target": float | int,
    "recall": dict, "effort": dict, "seals": dict, "cache": str | None,
}  # fmt: skip
Placed = tuple[dict[str, Any], NDArray[np.int64], NDArray[np.int64]]


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
    return state if isinstance(state, dict) and state.keys() >= {"name", "recall", "seals"} else None


def is_whole(state: dict[str, Any]) -> bool:
    """Say whether nothing is missing in a state, and each value is of its kind."""
    if not all(name in state and isinstance(state[name], kind) for name, kind in NEEDED.items()):
        return False
    depths, shares = state["recall"], list(state["recall"].values())
    efforts = [state["effort"].get(depth, "") for depth in depths]
    return (
        all(depth.isascii() and depth.isdecimal() for depth in depths)
        and all(isinstance(share, float | int) for share in shares)
        and all(isinstance(effort, int | None) for effort in efforts)
    )


def summary(state: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of an index: its state less where it lies."""
    return {name: value for name, value in state.items() if name not in PLACE}


def write(
    store: Store,
    space: Space,
    index: Index,
    vectors: VectorCache,
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    state: dict[str, Any],
) -> dict[str, Any]:
    """Put an index over some rows of `vectors` in the place of the one before it; return its state."""
    home, name = folder(store, space), secrets.token_hex(4)
    (home / name).mkdir(parents=True)
    index.save(home / name / "index")
    for part, places in (("ids", rows), ("held", held)):
        (home / name / part).write_bytes(np.ascontiguousarray(vectors.ids[places]).tobytes())
    probed = np.unique(np.linspace(0, len(rows) - 1, PROBES).astype(np.int64)) if len(rows) else rows
    np.save(home / name / "probe.npy", np.stack([probed, _sums(vectors, rows[probed])], axis=1))
    files = [path for path in (home / name).rglob("*") if path.is_file()]
    for path in files:
        fsync(path)
    whole = {**state, "name": name, "rows": len(rows), "held": len(held), "cache": None}
    whole["bytes"] = sum(path.stat().st_size for path in files)
    whole["seals"] = {str(path.relative_to(home)): seal(path) for path in files}
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
            if not is_whole(state):
                raise ValueError(f"{home / STATE} is not as it was written")
            state = _renewed(home, state)
            state, places, loose = _placed(home, state, vectors) or _place(home, state, vectors)
            if state["seen"] > len(vectors):
                return None
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


def _sums(vectors: VectorCache, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the checksum of the vector of each of some rows."""
    return np.array([zlib.crc32(np.ascontiguousarray(vectors.matrix[row]).data) for row in rows], np.int64)


def _renewed(home: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Return the state with the seals of its files as they are; raise `ValueError` for one that is not as it was.

    Where rows lie is left out if that is not as it was: it can be looked up again.
    """
    inside, placed = Path(state["name"]), f"{state['cache']}."
    where = {name: one for name, one in state["seals"].items() if Path(name).name.startswith(placed)}
    try:
        found = all_renewed(home, where) or {}
    except FileNotFoundError:
        found = {}
    own = all_renewed(home, {name: one for name, one in state["seals"].items() if name not in where})
    if own is None:
        raise ValueError(f"a file in {home / inside} is not as it was written")
    return _kept(home, state, {**state, "seals": {**own, **found}})


def _kept(home: Path, before: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Return the state, kept if it is another than `before` and can be."""
    if state != before:
        try:
            publish(home / STATE, state)
        except OSError as error:
            # A store that cannot be written is searched all the same.
            if not is_unwritable(error):
                raise
    return state


def _placed(home: Path, state: dict[str, Any], vectors: VectorCache) -> Placed | None:
    """Return where the index's rows lie in the vectors as it is kept, None if it is not."""
    names = [f"{state['name']}/{vectors.name}.{part}.npy" for part in PARTS]
    if state["cache"] != vectors.name or not all(name in state["seals"] for name in names):
        return None
    places, loose = (np.load(home / name, mmap_mode="r") for name in names)
    return state, places, loose


def _place(home: Path, state: dict[str, Any], vectors: VectorCache) -> Placed:
    """Look up where the index's rows lie in a vector cache that was rebuilt, and keep that if it can be kept."""
    inside = home / state["name"]
    ids = np.fromfile(inside / "ids", np.uint8).reshape(-1, ID_BYTES)
    if len(ids) != state["rows"]:
        raise ValueError(f"{len(ids)} ids for {state['rows']} rows")
    places = vectors.positions(ids)
    probed, sums = np.load(inside / "probe.npy").T
    there = places[probed] >= 0
    if not np.array_equal(_sums(vectors, places[probed[there]]), sums[there]):
        raise ValueError("it was built of other vectors")
    free = np.ones(len(vectors), bool)
    free[places[places >= 0]] = False
    loose = np.flatnonzero(free)
    seals = {name: one for name, one in state["seals"].items() if not Path(name).name.startswith(f"{state['cache']}.")}
    now = {**state, "cache": vectors.name, "seen": len(vectors), "gone": int((places < 0).sum()), "seals": seals}
    try:
        for part, rows in zip(PARTS, (places, loose), strict=True):
            path = inside / f"{vectors.name}.{part}.npy"
            np.save(path, rows)
            fsync(path)
            seals[str(path.relative_to(home))] = seal(path)
    except OSError as error:
        if not is_unwritable(error):
            raise
        return now, places, loose
    _kept(home, state, now)
    if state["cache"] != vectors.name:
        for path in inside.glob(f"{state['cache']}.*.npy"):
            path.unlink()
    return now, places, loose
