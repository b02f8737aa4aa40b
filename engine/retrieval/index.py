"""Index: choose an index for a space, build it, measure its recall on rows kept out of it, keep it in the cache."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.progress import Progress, Silent
from engine.retrieval.kept_index import KeptIndex, building, drop, ids_of, load, summary, write
from engine.store import Space, Store, VectorCache
from indexers import INDEXES, Index, Neighbors, index_class
from indexers.choose import COARSE, FINE, choose, lists_for
from indexers.faiss_index import FaissIndex
from indexers.flat import FlatIndex
from indexers.ivf import LEAST_A_LIST
from indexers.selected import Selected
from indexers.tune import tune

# Rows that are never put into the index: they are the queries that measure it, and are compared one by one. This many
# put the standard error of a recall@10 of 0.95 near 0.003.
HELD_OUT = 500
# No more than one row in so many is held out.
HELD_SHARE = 20
# How deep recall is measured; an answer of more hits is exact.
DEPTHS = (10, 100)
# Queries that are timed, one by one.
TIMED = 100
SEED = 0
# Kinds that compare every row as it lies in the cache of vectors: there is nothing to build.
EXACT = ("exact", "flat")


def build(
    store: Store,
    space: str | None = None,
    *,
    kind: str = "auto",
    params: Mapping[str, str] | None = None,
    recall: float = 0.95,
    memory: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build an index over the vectors of a space; return what was measured of it, the keys of `engine index --json`.

    `kind` is one of `INDEXES` or "auto", which goes by the number of rows and by `memory`, the bytes that the index
    may take (None: a quarter of the machine's). The effort of a search is the least at which the recall of the
    held-out rows reaches `recall`, at 10 and at 100 hits each by itself. Of several that reach it the quickest is kept;
    where a named kind does not, `reached` is false and its best counts.
    The index before it answers until this one is whole. Raises `BadInput`, `EmptySpace`.
    """
    if not 0 < recall <= 1:
        raise BadInput(f"a recall of {recall} is asked for", "it is a share: --recall 0.95")
    if memory is not None and memory <= 0:
        raise BadInput(f"the index may take {memory} bytes", "give it some: --memory 2GB")
    if memory is not None and kind != "auto":
        raise BadInput(f"--memory is for --kind auto, the kind is {kind}", "leave one of the two out")
    chosen = _indexable(store, space)
    told = progress or Silent()
    with store.lock(), building(store, chosen):
        # Read under the lock: what a removal took away before must not come back.
        vectors = _vectors(store, chosen)
        held = _held_out(np.arange(len(vectors)), len(vectors) // HELD_SHARE)
        rest = np.setdiff1d(np.arange(len(vectors)), held, assume_unique=True)
        best: tuple[Index, dict[str, Any]] | None = None
        for name, options in _candidates(kind, params or {}, len(rest), chosen.dim, memory):
            if name in EXACT:
                if best is not None and best[1]["reached"]:
                    break
                dropped = drop(store, chosen)
                return {**_without(chosen, len(vectors), name), "dropped": bool(dropped)}
            if len(held) == 0:
                raise BadInput(
                    f"space {chosen.name!r} has {len(vectors)} images, too few to hold one out and measure an index",
                    "search it as it is: every image is compared",
                )
            told.begin(f"building an index of kind {name}", None)
            began = time.monotonic()
            index = index_class(name)(options)
            index.add(Selected(vectors.matrix, rest))
            told.begin(f"measuring {name} with {len(held)} rows held out", None)
            found = _measured(index, vectors.matrix, held, recall)
            seconds = round(time.monotonic() - began, 3)
            if best is None or _merit(found) > _merit(best[1]):
                known = {**_described(chosen, name, options), "trained": _trained(index)}
                best = index, {**known, **found, "seconds": seconds}
        assert best is not None
        return summary(write(store, chosen, best[0], vectors, rest, held, best[1]))


def update(store: Store, space: str | None = None, *, progress: Progress | None = None) -> dict[str, Any]:
    """Add to a space's index what came after it was built, and measure it again; return as `build` does.

    `added` is how many rows came and `update_seconds` what that took; `seconds` stays what the build took. Where rows
    of the index are gone from the space, it is built anew, and `added` is None. Raises `BadInput` if there is no index.
    """
    chosen = _indexable(store, space)
    told = progress or Silent()
    with store.lock(), building(store, chosen):
        # Read under the lock: what a removal took away before must not come back.
        vectors = _vectors(store, chosen)
        kept = load(store, chosen, vectors)
        if kept is None:
            raise BadInput(f"space {chosen.name!r} has no index", _first_index(chosen, len(vectors)))
        if not kept.newer and not kept.state["gone"]:
            return {**summary(kept.state), "added": 0, "update_seconds": 0.0}
        if not kept.state["gone"]:
            return _extended(store, chosen, vectors, kept, told)
    texts = {name: str(value) for name, value in kept.state["params"].items()}
    made = build(
        store, chosen.name, kind=kept.state["kind"], params=texts, recall=kept.state["target"], progress=progress
    )
    return {**made, "added": None, "update_seconds": made["seconds"]}


def _first_index(space: Space, rows: int) -> str:
    command = f"engine index --space {space.name}"
    if choose(rows, space.dim)[0][0] in EXACT:
        return f"so few rows as {rows} are compared one by one; for an index nevertheless: {command} --kind hnsw"
    return f"build one: {command}"


def _extended(store: Store, space: Space, vectors: VectorCache, kept: KeptIndex, told: Progress) -> dict[str, Any]:
    began = time.monotonic()
    old = ids_of(store, space, kept.state, "held")
    newer = np.setdiff1d(kept.loose, vectors.positions(old))
    fresh = _held_out(newer, len(newer) * len(old) // max(1, kept.state["rows"]))
    added = np.setdiff1d(newer, fresh, assume_unique=True)
    told.begin(f"adding {len(added)} rows", None)
    kept.index.add(Selected(vectors.matrix, added))
    # Positions of an index are in the order of adding, not in the space's.
    order = np.concatenate([kept.places, added])
    held = np.concatenate([vectors.positions(old), fresh])
    told.begin(f"measuring with {len(held)} rows held out", None)
    found = _measured(kept.index, vectors.matrix, held, kept.state["target"], order)
    state = {**kept.state, **found, "trained": _trained(kept.index)}
    done = summary(write(store, space, kept.index, vectors, order, held, state))
    return {**done, "added": len(newer), "update_seconds": round(time.monotonic() - began, 3)}


def _indexable(store: Store, space: str | None) -> Space:
    chosen = store.space(space)
    if chosen.virtual:
        raise BadInput(
            f"space {chosen.name!r} is virtual: its scores are sums over {', '.join(chosen.recipe['weights'])}",
            "store it: engine embed --encoder fused --stored",
        )
    return chosen


def _vectors(store: Store, space: Space) -> VectorCache:
    vectors = store.vectors(space)
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {space.name!r}", space.remedy)
    return vectors


def _held_out(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(SEED).permutation(len(rows))[: min(HELD_OUT, most)]
    return np.sort(rows[drawn])


def _candidates(
    kind: str, params: Mapping[str, str], n: int, dim: int, memory: int | None
) -> Iterator[tuple[str, Any]]:
    """Yield what to try, with its parameters, best first."""
    if kind == "auto":
        if params:
            raise BadInput("parameters belong to one kind of index", "name it: --kind ivf")
        yield from choose(n, dim, memory=memory if memory is not None else _physical_memory() // 4)
        return
    if kind not in INDEXES:
        raise BadInput(f"there is no index of kind {kind!r}", f"choose one of auto, {', '.join(INDEXES)}")
    yield kind, _options(kind, params, n)


def _physical_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _options(kind: str, given: Mapping[str, str], n: int) -> Any:
    """Return the parameters of an index of this kind over `n` rows, with those that were given in words."""
    if kind in EXACT:
        if given:
            raise BadInput(f"an index of kind {kind} has no parameters", "leave out --param")
        return None
    Params = index_class(kind).Params
    roots = {"ivf": COARSE, "ivfpq": FINE}.get(kind)
    default = Params() if roots is None else Params(lists=lists_for(n, roots))
    known = {field.name: type(getattr(default, field.name)) for field in fields(default)}
    if unknown := given.keys() - known.keys():
        raise BadInput(f"an index of kind {kind} has no {min(unknown)!r}", f"it has {', '.join(known) or 'none'}")
    try:
        options = replace(default, **{name: known[name](value) for name, value in given.items()})
    except ValueError as error:
        raise BadInput(f"--param for {kind}: {error}", f"for instance: {default}") from None
    lists = getattr(options, "lists", 1)
    if "lists" in given and lists * LEAST_A_LIST > n:
        raise BadInput(
            f"{n} rows cannot train {lists} lists: it takes {LEAST_A_LIST} rows for each",
            f"at most --param lists={max(1, n // LEAST_A_LIST)}",
        )
    return options


def _measured(
    index: Index,
    matrix: NDArray[np.float32],
    held: NDArray[np.int64],
    target: float,
    order: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Return the effort and the recall at each depth, of the rows `held` against the exact answer.

    `order` are the positions of the index's rows in the matrix; by default all but `held`, ascending.
    """
    places = order if order is not None else np.setdiff1d(np.arange(len(matrix)), held)
    Q, efforts, recalls, reached = matrix[held], {}, {}, True
    truth = _truth(matrix, Q, places)
    for depth in DEPTHS:
        tuned = tune(index, Q, truth, target=target, k=depth)
        efforts[str(depth)], recalls[str(depth)] = tuned.effort, tuned.recall
        reached = reached and tuned.reached
    seconds = _seconds(index, Q, efforts[str(DEPTHS[0])])
    return {
        "effort": efforts,
        "recall": recalls,
        "target": target,
        "reached": reached,
        "queries": len(held),
        "seconds_a_query": round(seconds, 7),
    }


def _trained(index: Index) -> bool:
    """Say whether the index looks at fewer rows than there are: one of FAISS's does so from a number of rows on."""
    return not isinstance(index, FaissIndex) or index.trained


def _merit(found: Mapping[str, Any]) -> tuple[bool, float]:
    """Return what is to be greatest: of indexes that reach the target the quickest, of others the best recall."""
    return found["reached"], -found["seconds_a_query"] if found["reached"] else found["recall"]["10"]


def _seconds(index: Index, Q: NDArray[np.float32], effort: int | None) -> float:
    """Return the median time of a query asked alone, after one that is not counted."""
    taken = []
    for query in [Q[:1], *(Q[i : i + 1] for i in range(min(TIMED, len(Q))))]:
        began = time.perf_counter()
        index.search(query, DEPTHS[0], effort=effort)
        taken.append(time.perf_counter() - began)
    return median(taken[1:]) if len(taken) > 1 else 0.0


def _truth(matrix: NDArray[np.float32], Q: NDArray[np.float32], places: NDArray[np.int64]) -> list[Neighbors]:
    """Return the exact answer of rows `places` only, as places in that order."""
    index_of = np.full(len(matrix), -1)
    index_of[places] = np.arange(len(places))
    depth = min(max(DEPTHS), len(places))
    k = depth
    while True:
        # Asked for more where rows that do not count are among the best.
        k = min(2 * k, len(matrix))
        found = [
            Neighbors(index_of[one.positions][kept], one.scores[kept])
            for one in FlatIndex(matrix).search(Q, k)
            for kept in [index_of[one.positions] >= 0]
        ]
        if k == len(matrix) or all(len(one) >= depth for one in found):
            return [Neighbors(one.positions[:depth], one.scores[:depth]) for one in found]


def _described(space: Space, kind: str, options: Any) -> dict[str, Any]:
    return {
        "space": space.name,
        "fingerprint": space.fingerprint,
        "kind": kind,
        "params": asdict(options) if options else {},
        "seed": SEED,
    }


def _without(space: Space, rows: int, kind: str) -> dict[str, Any]:
    """Return what is said where nothing needs to be built."""
    state = {"space": space.name, "fingerprint": space.fingerprint, "kind": kind, "params": {}, "rows": rows}
    return {**state, "recall": {str(depth): 1.0 for depth in DEPTHS}, "reached": True, "seconds": 0.0, "bytes": 0}
