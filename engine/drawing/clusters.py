"""Clusters as pictures: the largest beside each other, or one from its middle to its border."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engine.clustering.cluster_runs import ClusterRun, members
from engine.clustering.show import show
from engine.drawing.hits import thumbnails
from engine.labeling.label import shown
from engine.pictures.grid import Tile, grid
from engine.store import Store

CLUSTERS, ACROSS, MOST = 12, 8, 60


def draw_clusters(store: Store, found: ClusterRun, path: Path) -> Path:
    """Draw the 12 largest clusters into a PNG file, a row each: the medoid, then images on the way to the border."""
    _, groups = show(store, found)
    some = groups[: min(CLUSTERS, found.k)]
    tiles = [tile for one in some for tile in _row(store, found, one.cluster, _word(one.label, one.purity), ACROSS)]
    first = f"the largest {CLUSTERS} of {found.k}" if found.k > CLUSTERS else f"{found.k}"
    title = (
        f"{first} clusters by {found.details['method']} in space {found.details['space']}, each from medoid to border"
    )
    return grid(tiles, path, columns=ACROSS, title=title)


def draw_cluster(store: Store, found: ClusterRun, cluster: str, path: Path) -> Path:
    """Draw at most 60 images of one cluster into a PNG file, evenly from its middle to its border."""
    images = len(members(found, cluster))
    tiles = list(_row(store, found, cluster, "", min(images, MOST)))
    count = f"{MOST} of {images}" if images > MOST else f"{images}"
    title = f"{count} images of cluster {cluster} by {found.details['method']}, most typical first"
    return grid(tiles, path, columns=ACROSS, title=title)


def _word(label: str | None, purity: float | None) -> str:
    return "" if label is None or purity is None else f"{purity:.0%} {label}"


def _row(store: Store, found: ClusterRun, cluster: str, word: str, count: int) -> Iterator[Tile | None]:
    rows = members(found, cluster)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]
    pictures = thumbnails(store, [found.ids[row].tobytes() for row in rows])
    hits = shown(store, found.ids[rows], found.scores[rows])
    for place, one in enumerate(hits):
        score = "" if np.isnan(one.score) else f"{one.score:.3f}"
        caption = " ".join(filter(None, [f"cluster {cluster}:", word])) if place == 0 and word else one.name
        detail = f"{one.name}  {score}" if place == 0 and word else score
        yield Tile(pictures.get(one.id), caption, detail, accent=place == 0)
    yield from [None] * (count - len(hits))
