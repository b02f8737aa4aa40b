"""Maps: every image of a space as a point. Coordinates are kept, and computed again only when something else is asked.

A map is a run: its details say space, fingerprint, method, seed and sample, and of which images it was made; its points
are rows of the table `maps`. All of them are written in one commit: a map is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.fused import matrix_of
from engine.mapping.projections import LEAST, NEIGHBORS, PROJECTIONS, project
from engine.neighbors.graph import graph
from engine.progress import Progress, Silent, counter
from engine.store import Space, Store, VectorCache
from engine.store.table import in_list, literal
from engine.store.vectors import id_array, sort_key
from indexers.graph import KnnGraph, build

MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Map:
    """A point xy float32 (n, 2) for each of `ids` uint8 (n, 32), in the order of ids.

    `total` images have a vector in the space, `images` there are in the store. `graph` says which neighbours the
    method was given: kind, k and recall. `reused`: the coordinates were there already.
    """

    space: str
    fingerprint: str
    method: str
    seed: int
    sample: int | None
    ids: NDArray[np.uint8]
    xy: NDArray[np.float32]
    total: int
    images: int
    graph: dict[str, Any] | None
    run: str
    reused: bool
    seconds: float

    def __len__(self) -> int:
        return len(self.ids)


def make_map(
    store: Store,
    *,
    method: str = "umap",
    space: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    recompute: bool = False,
    progress: Progress | None = None,
) -> Map:
    """Return the map of a space, or of `sample` of its images drawn by `seed`; compute and keep it if it is not there.

    It is there if it was made of the same images by the same method with the same seed. Neighbours come from the
    space's graph, which is built if need be; those of a sample are looked for in the sample.
    Raises `BadInput` and `EmptySpace`; nothing is written then, nor after Ctrl-C.
    """
    _check(method, sample, seed)
    with store.lock():
        chosen = store.space(space)
        vectors = matrix_of(store, chosen)
        if len(vectors) < LEAST:
            raise EmptySpace(f"space {chosen.name!r} has {len(vectors)} vectors, a map needs {LEAST}", chosen.remedy)
        places = _drawn(vectors, sample, seed)
        # A sample of everything is everything.
        asked: dict[str, Any] = {
            "space": chosen.name,
            "fingerprint": chosen.fingerprint,
            "method": method,
            "seed": seed,
            "sample": len(places) if len(places) < len(vectors) else None,
        }
        ids = vectors.ids[places]
        details = {**asked, "identity": hashlib.sha256(ids.tobytes()).hexdigest()[:16], "rows": len(ids)}
        about: dict[str, Any] = {"total": len(vectors), "images": store.images.count()}
        kept = None if recompute else _kept(store, details)
        if kept is not None:
            return Map(**asked, **about, **kept, ids=ids, reused=True)
        started = time.monotonic()
        xy, found = _computed(store, chosen, vectors, places, details, progress or Silent())
        result: dict[str, Any] = {"graph": found, "seconds": round(time.monotonic() - started, 3)}
        run = _write(store, {**details, **result}, ids, xy)
        _forget(store, asked, run)
    return Map(**asked, **about, **result, ids=ids, xy=xy, run=run, reused=False)


def _check(method: str, sample: int | None, seed: int) -> None:
    if method not in PROJECTIONS:
        raise BadInput(f"unknown method {method!r}", f"use one of {', '.join(PROJECTIONS)}")
    if sample is not None and sample < LEAST:
        raise BadInput(f"a sample of {sample} is no map", f"draw at least {LEAST}: --sample 5000")
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"seed is {seed}", f"give one from 0 to {MOST_SEED}")


def _drawn(vectors: VectorCache, sample: int | None, seed: int) -> NDArray[np.int64]:
    """Return the places of the images to lay out, in the order of their ids: rows move, ids do not."""
    order = np.argsort(sort_key(vectors.ids), kind="stable")
    if sample is None or sample >= len(order):
        return order
    return order[np.sort(np.random.default_rng(seed).choice(len(order), sample, replace=False))]


def _computed(
    store: Store, space: Space, vectors: VectorCache, places: NDArray[np.int64], asked: dict[str, Any], said: Progress
) -> tuple[NDArray[np.float32], dict[str, Any] | None]:
    """Return coordinates in the order of `places`, and which graph they rest on."""
    method, seed = asked["method"], asked["seed"]
    X, neighbors, about = vectors.matrix, None, None
    if asked["sample"] is not None:
        X = np.asarray(X[places])
    try:
        if k := NEIGHBORS[method]:
            neighbors, about = _graph(store, space, X, k, seed, sampled=asked["sample"] is not None, said=said)
        first = "; it compiles itself first, which takes up to a minute" if method == "umap" else ""
        said.note(f"{method} of {len(places)} images, seed {seed}{first}")
        xy = project(X, method=method, seed=seed, graph=neighbors, told=counter(said, "layout by UMAP", "epochs"))
    except ValueError as error:
        remedy = "see what is broken: engine verify" if "finite" in str(error) else "name another space: --space NAME"
        raise BadInput(f"space {space.name!r} cannot be mapped: {error}", remedy) from error
    return (xy if asked["sample"] is not None else xy[places]), about


def _graph(
    store: Store, space: Space, X: NDArray[np.float32], k: int, seed: int, *, sampled: bool, said: Progress
) -> tuple[KnnGraph, dict[str, Any]]:
    if sampled:
        return build(X, k, seed=seed), {"kind": "of the sample", "k": min(k, len(X) - 1), "recall": None}
    found = graph(store, space.name, k=k, progress=said)
    return found.knn, {"kind": found.built.kind, "k": found.built.k, "recall": found.built.recall}


def _kept(store: Store, details: dict[str, Any]) -> dict[str, Any] | None:
    """Return run, xy, graph and seconds of the newest whole map of these details; its rows are sorted by id."""
    for run, made in reversed(_made(store)):
        if {key: made.get(key) for key in details} != details:
            continue
        rows = store.maps.read(["id", "x", "y"], f"run = {literal(run)}")
        if len(rows) == details["rows"]:
            order = np.argsort(sort_key(id_array(rows["id"])), kind="stable")
            xy = np.stack([rows["x"].to_numpy()[order], rows["y"].to_numpy()[order]], axis=1)
            return {"run": run, "xy": xy, "graph": made["graph"], "seconds": made["seconds"]}
    return None


def _made(store: Store) -> list[tuple[str, dict[str, Any]]]:
    """Return the runs that made maps, oldest first, with their details."""
    rows = store.runs.rows(where="command = 'map' AND event = 'start'")
    return [(row["run"], json.loads(row["details"])) for row in sorted(rows, key=lambda row: row["time"])]


def _write(store: Store, details: dict[str, Any], ids: NDArray[np.uint8], xy: NDArray[np.float32]) -> str:
    with store.run("map", details) as run:
        columns = {
            "run": pa.array([run.name] * len(ids), pa.string()),
            "id": pa.array([row.tobytes() for row in ids], pa.binary()),
            "x": pa.array(xy[:, 0]),
            "y": pa.array(xy[:, 1]),
        }
        run.result["rows"] = store.maps.merge(pa.table(columns))
    return run.name


def _forget(store: Store, asked: dict[str, Any], newest: str) -> None:
    """Take away the points of maps that were asked for in the same way before: nothing would show them again."""
    old = [run for run, made in _made(store) if run != newest and all(made.get(key) == asked[key] for key in asked)]
    if old and store.maps.count(where := in_list("run", old)):
        store.maps.delete(where)
