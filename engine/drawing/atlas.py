"""A map as a Parquet file for the viewer Embedding Atlas: coordinates, neighbours, thumbnails and labels.

Its columns are those that the viewer documents (apple.github.io/embedding-atlas, "Command Line Tool", "Data Formats"):
neighbours are row numbers with distances, an image is a struct of bytes and path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.drawing.map_page import names_of
from engine.drawing.thumbnails import Thumbnails
from engine.errors import BadInput
from engine.mapping.colouring import aligned
from engine.mapping.maps import Map, make_map
from engine.neighbors.graph import graph
from engine.progress import Progress
from engine.scratch import whole
from engine.select import all_labels
from engine.store import Store
from indexers.graph import KnnGraph

X, Y, NEIGHBORS, IMAGE = "projection_x", "projection_y", "neighbors", "image"
K = 15
# Thumbnails of a row group lie in memory at once.
GROUP = 1024
# How the pictures begin that the viewer knows; TIFF is left out, for few browsers show it.
SHOWN = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM")
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("label", pa.string()),
        pa.field(X, pa.float32()),
        pa.field(Y, pa.float32()),
        pa.field(NEIGHBORS, pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])),
        pa.field(IMAGE, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ]
)


@dataclass(frozen=True)
class AtlasExported:
    """What was written: the rows of a map, `labelled` of them with a label, and the command that shows them."""

    map: Map
    labelled: int
    path: Path

    @property
    def command(self) -> str:
        """Return the command of the viewer."""
        return f"embedding-atlas {self.path} --image {IMAGE} --x {X} --y {Y} --neighbors {NEIGHBORS}"


def export_atlas(
    store: Store,
    output: Path,
    *,
    method: str = "umap",
    space: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> AtlasExported:
    """Write the map of a space, made if it is not there, with the neighbours of its graph, into a Parquet file.

    A distance is 1 − cosine. Nothing half-written is left. Raises `BadInput`, `EmptySpace`.
    """
    if output.suffix != ".parquet" or output.is_dir():
        raise BadInput(f"the map cannot be written as {output}", "name a file: --output map.parquet")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {output.absolute().parent}", "make it first")
    import pyarrow.parquet as pq

    with store.lock():
        made = make_map(store, method=method, space=space, seed=seed, progress=progress)
        found = graph(store, made.space, k=K, progress=progress)
        places = found.vectors.positions(made.ids)
        labels = aligned(made.ids, all_labels(store), "label")
        names = names_of(store, made.ids)
        pictures = Thumbnails(store, made.ids)
        about = {"engine": json.dumps({"run": made.run, "space": made.space, "fingerprint": made.fingerprint})}
        schema = SCHEMA.with_metadata(about)
        # An open file: Arrow takes no path that is not UTF-8.
        with whole(output) as scratch, scratch.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
            for rows in _groups(len(made)):
                writer.write_table(_table(made, rows, names, labels, _neighbors(found.knn, places, rows), pictures))
    return AtlasExported(made, len(labels) - labels.null_count, output)


def _groups(n: int) -> Iterator[slice]:
    return (slice(start, min(n, start + GROUP)) for start in range(0, n, GROUP))


def _neighbors(knn: KnnGraph, places: NDArray[np.int64], rows: slice) -> pa.Array:
    """Return the neighbours of some rows of the map as rows of the map: the graph's rows are in another order."""
    back = np.empty(len(places), np.int64)
    back[places] = np.arange(len(places))
    mine = places[rows]
    starts = pa.array(np.arange(len(mine) + 1, dtype=np.int32) * knn.k)
    distances = np.maximum(0, 1 - knn.scores[mine].astype(np.float64))
    return pa.StructArray.from_arrays(
        [
            pa.ListArray.from_arrays(starts, pa.array(back[knn.indices[mine]].ravel())),
            pa.ListArray.from_arrays(starts, pa.array(distances.ravel())),
        ],
        ["ids", "distances"],
    )


def _table(
    made: Map, rows: slice, names: list[str], labels: pa.Array, neighbors: pa.Array, pictures: Thumbnails
) -> pa.Table:
    ids = [one.tobytes() for one in made.ids[rows]]
    columns: dict[str, Any] = {
        "id": pa.array([one.hex() for one in ids]),
        "name": pa.array(names[rows], pa.string()),
        "label": labels[rows],
        X: pa.array(made.xy[rows, 0]),
        Y: pa.array(made.xy[rows, 1]),
        NEIGHBORS: neighbors,
        IMAGE: pa.array(
            [
                None if (shown := _shown(data)) is None else {"bytes": shown, "path": name}
                for data, name in zip(pictures.of(rows), names[rows], strict=True)
            ],
            SCHEMA.field(IMAGE).type,
        ),
    }
    return pa.table(columns).cast(SCHEMA)


def _shown(data: bytes | None) -> bytes | None:
    """Return a picture that the viewer shows; small images are kept as they came, in whatever format that was."""
    if data is None or data.startswith(SHOWN):
        return data
    from PIL import Image

    try:
        buffer = BytesIO()
        with Image.open(BytesIO(data)) as picture:
            picture.convert("RGB").save(buffer, "PNG")
        return buffer.getvalue()
    except (OSError, SyntaxError, ValueError):
        return None
