"""Cluster: vectors or their graph → clusters → rows of a run, which is found again when the same is asked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.clustering.cluster_runs import NOISE, ClusterRun, cluster_run, cluster_runs
from engine.clustering.memory import require_memory
from engine.clustering.plan import Plan
from engine.clustering.score import score
from engine.errors import BadInput, EmptySpace
from engine.fused import matrix_of
from engine.labeling.labels import append
from engine.neighbors.graph import K, graph
from engine.progress import Progress, Silent, counter
from engine.select import matching
from engine.store import Space, Store, VectorCache
from indexers.graph import KnnGraph, build
from labelers.clusters import Clusterer, Clusters, typical
from labelers.hdbscan import FEW_AXES

# What takes less memory or time, by method.
REMEDIES = {
    "kmeans": "ask for fewer clusters",
    "spherical": "ask for fewer clusters",
    "leiden": "use --method kmeans -k N",
    "spectral": "ask for fewer clusters, or use --method leiden",
    "agglomerative": "use --method leiden, or kmeans -k N",
    "hdbscan": "use --reduce pca:50, or --method leiden",
}


# A number of clusters above this share of the most that are tried says little: more might have been better.
NEAR = 0.9
# Of hdbscan, for a pair of rows: 8,242 x 512 took 29 s.
PAIRS_SECONDS = 29 / 8242**2


@dataclass(frozen=True)
class _Chosen:
    """The images that are clustered: `ids` uint8 (n, 32) with unit rows `X` (n, dim); `whole` if it is the space."""

    ids: NDArray[np.uint8]
    X: NDArray[np.float32]
    whole: bool


def cluster(
    store: Store,
    plan: Plan,
    *,
    space: str | None = None,
    where: str | None = None,
    recompute: bool = False,
    progress: Progress | None = None,
) -> ClusterRun:
    """Cluster the images of a space and record it as a run of kind `cluster`; noise is a label too.

    A run of the same plan over the same vectors is returned as it is, unless `recompute`. The memory that the method
    takes is said before it starts. Raises `BadInput`, also where it would not fit, `EmptySpace`; nothing is written
    then.
    """
    progress = progress or Silent()
    chosen = store.space(space)
    # A removal waits: no cluster is written for an image that is gone.
    with store.lock():
        vectors = matrix_of(store, chosen)
        rows = _rows(store, chosen, vectors, where)
        asked = {**plan.details(), "space": chosen.name, "fingerprint": chosen.fingerprint, "where": where}
        asked |= {"identity": vectors.identity, "rows": len(rows.ids), "of": _digest(rows)}
        if not recompute and (known := _same(store, asked)):
            progress.note(f"run {known} did the same on the same vectors (--recompute does it again)")
            return cluster_run(store, known)
        began = time.monotonic()
        clusters = _clustered(store, chosen, plan, rows, progress)
        if clusters.k == 0:
            raise BadInput(f"{plan.method} finds no cluster: all {len(rows.ids)} images are noise", "lower --min-size")
        scores, medoids = typical(rows.X, clusters.codes)
        measured = score(store, rows.ids, clusters.codes, rows.X, seed=plan.seed)
        with store.run("cluster", asked) as run:
            append(
                store, run.name, ids=rows.ids, labels=_names(clusters.codes), source="cluster", scores=scores,
                kind="cluster",
            )  # fmt: skip
            run.result.update(
                k=clusters.k,
                noise=clusters.noise,
                sizes=clusters.sizes.tolist(),
                medoids=[rows.ids[place].tobytes().hex() for place in medoids],
                params=dict(clusters.params),
                **measured,
                seconds=round(time.monotonic() - began, 3),
            )
    return cluster_run(store, run.name)


def _rows(store: Store, space: Space, vectors: VectorCache, where: str | None) -> _Chosen:
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {space.name!r}", space.remedy)
    if where is None:
        return _Chosen(vectors.ids, vectors.matrix, True)
    places = vectors.positions(matching(store, where))
    places = np.sort(places[places >= 0])
    if len(places) == 0:
        raise BadInput(f"no image with a vector in space {space.name!r} meets --where {where!r}", "widen it")
    return _Chosen(vectors.ids[places], vectors.matrix[places], False)


def _digest(rows: _Chosen) -> str | None:
    """Return what tells the chosen images: a condition may select others next time."""
    return None if rows.whole else hashlib.sha256(rows.ids.tobytes()).hexdigest()[:16]


def _same(store: Store, asked: dict[str, Any]) -> str | None:
    """Return the newest run of which the same was asked."""
    return next((one["run"] for one in reversed(cluster_runs(store)) if one["details"] == asked), None)


def _clustered(store: Store, space: Space, plan: Plan, rows: _Chosen, progress: Progress) -> Clusters:
    made = plan.clusterer()
    n, dim = rows.X.shape
    _require(plan, made, n, dim, progress)
    X, found = rows.X, None
    if plan.reduce:
        on_graph = plan.reduce.method == "umap"
        if on_graph:
            progress.note("UMAP compiles itself first, which takes up to a minute")
        told = counter(progress, "layout by UMAP", "epochs")
        knn = _graph(store, space, rows, progress) if on_graph else None
        X = plan.reduce.apply(X, knn, seed=plan.seed, told=told)
    if made.uses_graph and n > 1:
        found = _graph(store, space, rows, progress) if plan.reduce is None else build(X, K)
    if plan.method == "hdbscan" and X.shape[1] > FEW_AXES:
        # Its library reports nothing on its way.
        progress.note(f"hdbscan looks at all pairs: about {PAIRS_SECONDS * n * n:.0f} s, longer on a busy machine")
    progress.begin(f"clusters by {plan.method}", None)
    clusters: Clusters = _refused(lambda: made.cluster(X, found))
    most = getattr(made, "most", None)
    if plan.k is None and most is not None and clusters.k > NEAR * most:
        progress.note(
            f"{plan.method} tries at most {most} clusters and chose {clusters.k}; for more give a number: -k N"
        )
    return clusters


def _require(plan: Plan, made: Clusterer, n: int, dim: int, progress: Progress) -> None:
    if plan.k is not None and plan.k > n:
        raise BadInput(f"{plan.k} clusters of {n} images", f"ask for at most {n}")
    if plan.min_size is not None and plan.min_size > n:
        raise BadInput(f"clusters of at least {plan.min_size} of {n} images", f"give --min-size from 2 to {n}")
    needed = made.memory(n, plan.reduce.dim if plan.reduce else dim, K)
    if plan.reduce:
        plan.reduce.check(n, dim)
        needed += plan.reduce.memory(n, dim)
    what = f"{plan.method} of {n} x {dim}" if plan.reduce is None else f"{plan.reduce} and {plan.method} of {n} x {dim}"
    require_memory(what, needed, REMEDIES[plan.method], progress)


def _graph(store: Store, space: Space, rows: _Chosen, progress: Progress) -> KnnGraph:
    """Return the graph of the space as it is kept, or one among the chosen images alone."""
    if not rows.whole:
        return _refused(lambda: build(rows.X, K))
    if len(rows.ids) < 2:
        raise BadInput("1 image: there is nothing to tell apart", "ingest more")
    return graph(store, space.name, progress=progress).knn


def _refused(work: Callable[[], Any]) -> Any:
    """Return what a leaf computes; what it cannot is the user's to mend."""
    try:
        return work()
    except ValueError as error:
        raise BadInput(str(error), "choose other images, or another number of clusters") from None


def _names(codes: NDArray[np.int32]) -> pa.Array:
    """Return the labels of clusters: their numbers, or that of noise."""
    names = pa.array([*map(str, range(int(codes.max(initial=-1)) + 1)), NOISE])
    return names.take(pa.array(np.where(codes < 0, len(names) - 1, codes)))
