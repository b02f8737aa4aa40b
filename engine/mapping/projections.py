"""From vectors to a few coordinates: which methods there are, what each needs, and one call for all of them."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from engine.mapping.umap import Told
from indexers.graph import KnnGraph, build

PROJECTIONS = {
    "umap": "engine.mapping.umap:umap",
    "tsne": "engine.mapping.tsne:tsne",
    "pca": "engine.mapping.pca:pca",
}
# Neighbours that a method asks of each row: UMAP's default; t-SNE's usual perplexity, 30, three times.
NEIGHBORS = {"umap": 15, "tsne": 90, "pca": 0}
BLOCK_ROWS = 8192
LEAST = 3


def project(
    X: NDArray[np.float32],
    *,
    method: str,
    dim: int = 2,
    seed: int = 0,
    graph: KnnGraph | None = None,
    told: Told | None = None,
) -> NDArray[np.float32]:
    """Return coordinates float32 (n, dim) of the unit rows X (n, d); the same seed gives the same ones.

    `method` is a key of `PROJECTIONS`. Those that look at neighbours take them from `graph`, of these very rows, with
    `NEIGHBORS[method]` columns or what there are; without it one is built. `told` hears of the epochs of UMAP. Raises
    `ValueError` for fewer than three rows, rows that are not finite or all the same, and a `dim` that the method cannot
    give.
    """
    if method not in PROJECTIONS:
        raise ValueError(f"unknown method {method!r}, not one of {', '.join(PROJECTIONS)}")
    check(X, dim)
    module, _, name = PROJECTIONS[method].partition(":")
    function = getattr(import_module(module), name)
    if not NEIGHBORS[method]:
        found: NDArray[np.float32] = function(X, dim=dim)
        return found
    if graph is None:
        graph = build(X, NEIGHBORS[method], seed=seed)
    if len(graph) != len(X):
        raise ValueError(f"a graph of {len(graph)} rows does not belong to {len(X)} vectors")
    more = {"told": told} if method == "umap" else {}
    found = function(X, graph, dim=dim, seed=seed, **more)
    return found


def check(X: NDArray[np.float32], dim: int) -> None:
    """Raise `ValueError` for rows that no method can lay out in `dim` dimensions."""
    n, width = X.shape
    if n < LEAST:
        raise ValueError(f"{n} vectors are too few, at least {LEAST} are needed")
    if not 1 <= dim <= min(width, n - 1):
        raise ValueError(f"{dim} dimensions of {n} vectors with {width}: ask for 1 to {min(width, n - 1)}")
    first, alike = X[:1], True
    for start in range(0, n, BLOCK_ROWS):
        block = X[start : start + BLOCK_ROWS]
        bad = ~np.isfinite(block).all(axis=1)
        if bad.any():
            raise ValueError(f"vector {start + int(bad.argmax())} is not finite")
        alike = alike and bool((block == first).all())
    if alike:
        raise ValueError(f"all {n} vectors are the same, nothing tells them apart")
