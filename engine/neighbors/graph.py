"""The kNN graph of a space: built once, kept in the cache, loaded by memory map, built anew when vectors changed.

STORE/cache/graphs/TABLE/kK/ holds NAME.indices (int32) and NAME.scores (float32), one row an image, and state.json,
which names them. A build writes under another name, notes after each block how far it is, and is put in place by
replacing state.json: one that is stopped goes on where it was, and until its end the last good graph stays.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import BadInput, EmptySpace, EngineError, Interrupted
from engine.fused import identity_of, matrix_of
from engine.interrupt import deferred
from engine.progress import Progress, Silent
from engine.store import Space, Store, VectorCache
from engine.store.durable import empty, folders, fsync, is_unwritable, locked, own_folder, publish, require_space
from engine.store.seals import STATE, Seals, all_renewed, seal
from engine.store.vectors import LOCK
from indexers.graph import SAMPLE, KnnGraph, columns, method, neighbors, proposer, recall

K = 15
# A row of the graph is a row of int32 positions: more neighbours than this there cannot be.
MOST_K = 2**31 - 1
SEED = 0
BLOCK_ROWS = 4096
PARTS = ("indices", "scores")


@dataclass(frozen=True)
class Built:
    """What state.json says of a graph. `k` is the number of columns; `identity` that of the vectors it was made of.

    `seals` are those of its files: one that is not as it was written makes the graph none.
    """

    name: str
    identity: str
    kind: str
    rows: int
    k: int
    seed: int
    params: dict[str, Any]
    recall: float
    sample: int
    seconds: float
    seals: Seals


@dataclass(frozen=True)
class Graph:
    """The kNN graph of a space: row i of `knn` belongs to row i of `vectors`."""

    space: str
    vectors: VectorCache
    knn: KnnGraph
    built: Built

    @property
    def complete(self) -> bool:
        """Say whether no neighbour is missing."""
        return self.built.kind == "exact"

    def summary(self) -> dict[str, Any]:
        """Return the keys of `engine graph --json`."""
        return {**_summary(self.space, self.built), "bytes": self.knn.indices.nbytes + self.knn.scores.nbytes}


def graph(
    store: Store,
    space: str | None = None,
    *,
    k: int = K,
    exact: bool = False,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Graph:
    """Return the graph of the `k` nearest images of each; build it if there is none, or none that is fresh.

    `exact` asks for one that misses nothing whatever it takes. The kind that is built otherwise goes by size, see
    `indexers.graph.method`. The first columns of a fresh graph of more neighbours are a graph, too.
    Raises `BadInput`, `EmptySpace`, `DiskFull`, `Interrupted` after Ctrl-C.
    """
    progress = progress or Silent()
    if k < 1:
        raise BadInput(f"k is {k}", "ask for at least one: -k 15")
    if k > MOST_K:
        raise BadInput(f"k is more than {MOST_K}", "for all pairs search with a threshold: engine search --all")
    chosen = store.space(space)
    try:
        return _graph(store, chosen, k, exact=exact, rebuild=rebuild, progress=progress)
    except OSError as error:
        if not is_unwritable(error):
            raise
    kept = None if rebuild else _as_kept(store, chosen, k, exact=exact)
    if kept is None:
        raise BadInput(
            f"the store cannot be written, and has no fresh graph of space {chosen.name!r} with k = {k}",
            f"build it where it can be written: engine graph --space {chosen.name} -k {k}",
        )
    return kept


def _as_kept(store: Store, space: Space, k: int, *, exact: bool) -> Graph | None:
    """Return the fresh graph of a store that cannot be written, None if there is none."""
    found = load(store, space.name, k=k)
    if found is not None and (found.complete or not exact):
        return found
    return _wider(store, space, matrix_of(store, space), k, exact)


def _graph(store: Store, chosen: Space, k: int, *, exact: bool, rebuild: bool, progress: Progress) -> Graph:
    folder = own_folder(store.cache, "graphs", chosen.table, f"k{k}")
    # In this order, as a removal takes them; it is told that the store is busy while a graph is built.
    with store.lock(), locked(folder / LOCK):
        vectors = matrix_of(store, chosen)
        if len(vectors) < 2:
            raise EmptySpace(f"space {chosen.name!r} has {len(vectors)} vectors: no neighbours", chosen.remedy)
        old = _read(folder)
        fresh = old is not None and old.identity == vectors.identity
        if old is not None and fresh and not rebuild and (old.kind == "exact" or not exact):
            if asdict(old) != json.loads((folder / STATE).read_text()):
                publish(folder / STATE, asdict(old))
            return Graph(chosen.name, vectors, _map(folder, old), old)
        if not rebuild and (larger := _wider(store, chosen, vectors, k, exact)) is not None:
            return larger
        if old is not None and not fresh:
            # Compaction writes the same vectors into other files, perhaps in another order.
            why = "its vectors were rewritten" if old.rows == len(vectors) else f"{old.rows} rows, now {len(vectors)}"
            progress.note(f"the graph of space {chosen.name} is stale ({why}): built anew")
        kind = "exact" if exact else method(*vectors.matrix.shape)
        built = _build(folder, chosen.name, vectors, k, kind, progress)
        return Graph(chosen.name, vectors, _map(folder, built), built)


def _wider(store: Store, space: Space, vectors: VectorCache, k: int, exact: bool) -> Graph | None:
    """Return the first k columns of a fresh graph of more, None if there is none; neighbours stand best first."""
    home = _home(store, space)
    for more in _kept(home):
        built = _read(home / f"k{more}") if more > k else None
        if built is None or built.identity != vectors.identity or (exact and built.kind != "exact"):
            continue
        whole = _map(home / f"k{more}", built)
        columns_of = min(k, built.k)
        knn = KnnGraph(whole.indices[:, :columns_of], whole.scores[:, :columns_of])
        share = built.recall if built.kind == "exact" else round(recall(vectors.matrix, knn, seed=SEED), 4)
        return Graph(space.name, vectors, knn, replace(built, k=columns_of, recall=share))
    return None


def load(store: Store, space: str | None = None, *, k: int = K) -> Graph | None:
    """Return the graph as it is kept; None if there is none or the vectors have changed since."""
    chosen = store.space(space)
    folder = _folder(store, chosen, k)
    built = _read(folder)
    if built is None:
        return None
    vectors = matrix_of(store, chosen)
    try:
        return Graph(chosen.name, vectors, _map(folder, built), built) if built.identity == vectors.identity else None
    except FileNotFoundError:
        # Another process has put a newer one in place.
        return None


def graphs(store: Store) -> list[dict[str, Any]]:
    """Return every graph that is kept, as `engine info --json` lists them."""
    return [
        {**_summary(space.name, built), "fresh": _is_fresh(store, space, built)}
        for space in store.spaces().values()
        for folder in sorted(_home(store, space).glob("k*"))
        if (built := _read(folder)) is not None
    ]


def drop(store: Store) -> list[str]:
    """Remove every graph and return whose they were; readers that hold one mapped keep it until they end."""
    dropped = {space.name for space in store.spaces().values() if any(map(_read, folders(_home(store, space))))}
    for home in folders(store.cache / "graphs"):
        empty(home, keep={f"k{k}" for k in _kept(home)})
        for folder in folders(home):
            with locked(folder / LOCK):
                _clear(folder, keep="")
    return sorted(dropped)


def _home(store: Store, space: Space) -> Path:
    return store.cache / "graphs" / space.table


def _kept(home: Path) -> list[int]:
    """Return the k of each folder of a graph in `home`, ascending."""
    return sorted(int(one.name[1:]) for one in folders(home) if one.name[0] == "k" and one.name[1:].isdecimal())


def _folder(store: Store, space: Space, k: int) -> Path:
    return _home(store, space) / f"k{k}"


def _summary(space: str, built: Built) -> dict[str, Any]:
    return {
        "space": space,
        "kind": built.kind,
        "rows": built.rows,
        "k": built.k,
        "params": built.params,
        "recall": {str(built.k): built.recall},
        "seconds": built.seconds,
    }


def _is_fresh(store: Store, space: Space, built: Built) -> bool:
    try:
        return built.identity == identity_of(store, space)
    except EngineError:
        # A component of a fused space is no longer what was fused.
        return False


def _read(folder: Path) -> Built | None:
    """Return what state.json says, or None if it does not vouch for two whole files."""
    try:
        built = Built(**json.loads((folder / STATE).read_text()))
        seals = all_renewed(folder, built.seals)
        whole = [one["size"] for one in built.seals.values()] == [built.rows * built.k * 4] * len(PARTS)
        return replace(built, seals=seals) if whole and seals is not None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _map(folder: Path, built: Built) -> KnnGraph:
    shape = (built.rows, built.k)
    return KnnGraph(
        np.memmap(folder / f"{built.name}.indices", np.int32, "r", shape=shape),
        np.memmap(folder / f"{built.name}.scores", np.float32, "r", shape=shape),
    )


def _build(folder: Path, space: str, vectors: VectorCache, k: int, kind: str, progress: Progress) -> Built:
    X, n = vectors.matrix, len(vectors)
    k = columns(n, k)
    asked: dict[str, Any] = {"identity": vectors.identity, "kind": kind, "rows": n, "k": k, "seed": SEED}
    begun = _begun(folder, asked)
    require_space(folder, (n - begun["done"]) * k * 8)
    progress.begin(f"graph of {space}, {kind}", n)
    if begun["done"]:
        progress.note(f"going on after {begun['done']} of {n} rows")
        progress.advance(begun["done"])
    started = time.monotonic() - begun["seconds"]
    source = proposer(kind, X, k, seed=SEED)
    with deferred() as interrupted:
        while (done := begun["done"]) < n:
            if interrupted():
                raise Interrupted(f"stopped after {done} of {n} rows of the graph", "give the same command again")
            rows = np.arange(done, min(n, done + BLOCK_ROWS))
            _append(folder, begun["name"], done, neighbors(X, rows, source, k))
            begun.update(done=done + len(rows), seconds=time.monotonic() - started)
            publish(folder / "begun.json", {**asked, **begun})
            progress.advance(len(rows))
    built = Built(begun["name"], **asked, params=source.params, recall=1.0, sample=0, seconds=0.0, seals={})
    if kind != "exact":
        built = replace(built, recall=round(recall(X, _map(folder, built), seed=SEED), 4), sample=min(n, SAMPLE))
    names = [f"{built.name}.{part}" for part in PARTS]
    seals = {name: seal(folder / name) for name in names}
    built = replace(built, seals=seals, seconds=round(time.monotonic() - started, 3))
    publish(folder / STATE, asdict(built))
    _clear(folder, keep=built.name)
    return built


def _begun(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return `name`, rows `done` and `seconds` of a build that was stopped and asked for the same, or of a new one."""
    try:
        begun = json.loads((folder / "begun.json").read_text())
        sizes = [(folder / f"{begun['name']}.{part}").stat().st_size for part in PARTS]
        whole = min(sizes) >= begun["done"] * asked["k"] * 4
        if whole and all(begun[key] == value for key, value in asked.items()):
            return {"name": begun["name"], "done": begun["done"], "seconds": begun["seconds"]}
    except (OSError, ValueError, KeyError, TypeError):
        # There is none, or what is there is torn: a new one is begun.
        pass
    state = _read(folder)
    _clear(folder, keep=state.name if state else "")
    return {"name": os.urandom(4).hex(), "done": 0, "seconds": 0.0}


def _append(folder: Path, name: str, start: int, part: KnnGraph) -> None:
    """Write the rows from `start` on, over whatever a killed process left there, and flush them to the disk."""
    for kind, values in (("indices", part.indices), ("scores", part.scores)):
        with open(os.open(folder / f"{name}.{kind}", os.O_RDWR | os.O_CREAT), "r+b") as file:
            file.seek(start * part.k * 4)
            file.write(np.ascontiguousarray(values).tobytes())
            file.truncate()
        fsync(folder / f"{name}.{kind}")


def _clear(folder: Path, *, keep: str) -> None:
    """Remove all files but those of the graph called `keep`, its state, and the lock others may wait for."""
    empty(folder, keep=(LOCK, *((f"{keep}.indices", f"{keep}.scores", STATE) if keep else ())))
