"""The kNN graph of a space: built once, kept in the cache, loaded by memory map, built anew when vectors changed."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import BadInput, EmptySpace, EngineError, Interrupted
from engine.fused import identity_of, matrix_of
from engine.interrupt import deferred
from engine.neighbors import kept_graph
from engine.neighbors.kept_graph import BEGUN, PARTS, Built
from engine.progress import Progress, Silent
from engine.store import Space, Store, VectorCache
from engine.store.durable import empty, folders, is_unwritable, locked, own_folder, publish, require_space
from engine.store.seals import STATE, seal
from engine.store.vectors import LOCK
from indexers.graph import SAMPLE, KnnGraph, columns, method, neighbors, proposer, recall

K = 15
# A row of the graph is a row of int32 positions: more neighbours than this there cannot be.
MOST_K = 2**31 - 1
SEED = 0
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Graph:
    """The kNN graph of a space: row i of `knn` belongs to row i of `vectors`. `new`: built by this call."""

    space: str
    vectors: VectorCache
    knn: KnnGraph
    built: Built
    new: bool = False

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
        old = kept_graph.read(folder)
        fresh = old is not None and old.identity == vectors.identity
        if old is not None and fresh and not rebuild and (old.kind == "exact" or not exact):
            if asdict(old) != json.loads((folder / STATE).read_text()):
                publish(folder / STATE, asdict(old))
            return Graph(chosen.name, vectors, kept_graph.mapped(folder, old), old)
        if not rebuild and (larger := _wider(store, chosen, vectors, k, exact)) is not None:
            return larger
        if old is not None and not fresh:
            # Compaction writes the same vectors into other files, perhaps in another order.
            why = "its vectors were rewritten" if old.rows == len(vectors) else f"{old.rows} rows, now {len(vectors)}"
            progress.note(f"the graph of space {chosen.name} is stale ({why}): built anew")
        kind = "exact" if exact else method(*vectors.matrix.shape)
        built = _build(folder, chosen.name, vectors, k, kind, progress)
        return Graph(chosen.name, vectors, kept_graph.mapped(folder, built), built, new=True)


def _wider(store: Store, space: Space, vectors: VectorCache, k: int, exact: bool) -> Graph | None:
    """Return the first k columns of a fresh graph of more, None if there is none; neighbours stand best first."""
    home = kept_graph.home(store, space)
    for more in kept_graph.sizes(home):
        built = kept_graph.read(home / f"k{more}") if more > k else None
        if built is None or built.identity != vectors.identity or (exact and built.kind != "exact"):
            continue
        whole = kept_graph.mapped(home / f"k{more}", built)
        columns_of = min(k, built.k)
        knn = KnnGraph(whole.indices[:, :columns_of], whole.scores[:, :columns_of])
        share = built.recall if built.kind == "exact" else round(recall(vectors.matrix, knn, seed=SEED), 4)
        return Graph(space.name, vectors, knn, replace(built, k=columns_of, recall=share))
    return None


def load(store: Store, space: str | None = None, *, k: int = K) -> Graph | None:
    """Return the graph as it is kept; None if there is none or the vectors have changed since."""
    chosen = store.space(space)
    folder = kept_graph.folder_of(store, chosen, k)
    built = kept_graph.read(folder)
    if built is None:
        return None
    vectors = matrix_of(store, chosen)
    try:
        fresh = built.identity == vectors.identity
        return Graph(chosen.name, vectors, kept_graph.mapped(folder, built), built) if fresh else None
    except FileNotFoundError:
        # Another process has put a newer one in place.
        return None


def graphs(store: Store) -> list[dict[str, Any]]:
    """Return every graph that is kept, as `engine info --json` lists them."""
    return [
        {**_summary(space.name, built), "fresh": _is_fresh(store, space, built)}
        for space in store.spaces().values()
        for folder in sorted(kept_graph.home(store, space).glob("k*"))
        if (built := kept_graph.read(folder)) is not None
    ]


def drop(store: Store) -> list[str]:
    """Remove every graph and return whose they were; readers that hold one mapped keep it until they end."""
    homes = {space.name: kept_graph.home(store, space) for space in store.spaces().values()}
    dropped = [name for name, home in homes.items() if any(map(kept_graph.read, folders(home)))]
    for home in folders(store.cache / "graphs"):
        empty(home, keep={f"k{k}" for k in kept_graph.sizes(home)})
        for folder in folders(home):
            with locked(folder / LOCK):
                kept_graph.clear(folder, keep="")
    return sorted(dropped)


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


def _build(folder: Path, space: str, vectors: VectorCache, k: int, kind: str, progress: Progress) -> Built:
    X, n = vectors.matrix, len(vectors)
    k = columns(n, k)
    asked: dict[str, Any] = {"identity": vectors.identity, "kind": kind, "rows": n, "k": k, "seed": SEED}
    begun = kept_graph.begun_build(folder, asked)
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
            kept_graph.append(folder, begun["name"], done, neighbors(X, rows, source, k))
            begun.update(done=done + len(rows), seconds=time.monotonic() - started)
            publish(folder / BEGUN, {**asked, **begun})
            progress.advance(len(rows))
    built = Built(begun["name"], **asked, params=source.params, recall=1.0, sample=0, seconds=0.0, seals={})
    if kind != "exact":
        share = round(recall(X, kept_graph.mapped(folder, built), seed=SEED), 4)
        built = replace(built, recall=share, sample=min(n, SAMPLE))
    names = [f"{built.name}.{part}" for part in PARTS]
    seals = {name: seal(folder / name) for name in names}
    built = replace(built, seals=seals, seconds=round(time.monotonic() - started, 3))
    publish(folder / STATE, asdict(built))
    kept_graph.clear(folder, keep=built.name)
    return built
