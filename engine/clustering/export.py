"""Export a run of clusters: a line an image, for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from engine.clustering.cluster_runs import NOISE, ClusterRun, cluster_run
from engine.errors import BadInput
from engine.scratch import whole
from engine.store import Store
from engine.store.vectors import id_array, sort_key

FORMATS = (".csv", ".parquet")


@dataclass(frozen=True)
class ClustersExported:
    """How many images of which run were written where."""

    run: str
    rows: int
    path: Path


def export_clusters(store: Store, output: Path, *, run: str | None = None) -> ClustersExported:
    """Write id, name, cluster and score of each image of a run (default: the newest), as CSV or parquet by its ending.

    The order is that of sources and members. Nothing half-written is left. Raises `BadInput`.
    """
    if output.suffix not in FORMATS:
        raise BadInput(f"clusters cannot be written as {output.name}", f"end it in {' or '.join(FORMATS)}")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise BadInput(f"{output} cannot be written", "name a file in a folder that is there")
    found = cluster_run(store, run)
    rows = _rows(store, found)
    with whole(output) as scratch, scratch.open("wb") as file:
        if output.suffix == ".csv":
            csv.write_csv(rows, file)
        else:
            pq.write_table(rows, file)
    return ClustersExported(found.run, len(rows), output)


def _rows(store: Store, found: ClusterRun) -> pa.Table:
    members = store.members.read(
        ["image", "name", "source", "ordinal"], "image IS NOT NULL AND removed IS NULL"
    ).sort_by([("source", "ascending"), ("ordinal", "ascending")])
    keys, wanted = sort_key(found.ids), sort_key(id_array(members["image"]))
    places = np.minimum(np.searchsorted(keys, wanted), max(0, len(keys) - 1))
    theirs = np.flatnonzero(keys[places] == wanted) if len(keys) else np.empty(0, np.int64)
    # Each image once, by its first member.
    _, first = np.unique(places[theirs], return_index=True)
    first = np.sort(first)
    rows = places[theirs][first]
    ids = [found.ids[row].tobytes().hex() for row in rows]
    clusters = [NOISE if code < 0 else str(code) for code in found.codes[rows]]
    return pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "name": members["name"].take(pa.array(theirs[first])),
            "cluster": pa.array(clusters, pa.string()),
            "score": pa.array(found.scores[rows], pa.float64(), from_pandas=True),
        }
    )
