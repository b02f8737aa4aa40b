"""Export: the vectors of a space with ids and names, for other tools."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.fused import matrix_of
from engine.scratch import whole
from engine.store import Space, Store
from engine.store.vectors import id_array

FORMATS = ("npy", "parquet")
ROWS = 8192


@dataclass(frozen=True)
class Exported:
    """What was written where."""

    space: str
    rows: int
    dim: int
    paths: list[Path]


def export(store: Store, output: Path, *, space: str | None = None, form: str | None = None) -> Exported:
    """Write every image's vector, in the order of sources and members, each image once.

    `npy`: float32 (n, dim) in `output` and id, name, source and ordinal of each row in a CSV file beside it.
    `parquet`: the columns id, name, source, ordinal, vector. Nothing half-written is left under the final name.
    """
    form = form or ("parquet" if output.suffix == ".parquet" else "npy")
    if form not in FORMATS:
        raise BadInput(f"unknown format {form!r}", f"use one of {', '.join(FORMATS)}, embedding-atlas")
    if output.is_dir() or (form == "npy" and output.suffix == ".csv"):
        raise BadInput(f"the vectors cannot be written as {output}", f"name a file: --output vectors.{form}")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {output.absolute().parent}", "make it first")
    chosen = store.space(space)
    vectors = matrix_of(store, chosen)
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {chosen.name!r}", chosen.remedy)
    rows, places = _rows(store, vectors)
    if form == "npy":
        paths = _npy(output, rows, vectors.matrix, places, chosen)
    else:
        paths = _parquet(output, rows, vectors.matrix, places, chosen)
    return Exported(chosen.name, len(places), chosen.dim, paths)


def _rows(store: Store, vectors: Any) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the first member of each image that has a vector, and the vector's place."""
    members = store.members.read(
        ["image", "name", "source", "ordinal"], "image IS NOT NULL AND removed IS NULL"
    ).sort_by([("source", "ascending"), ("ordinal", "ascending")])
    places = vectors.positions(id_array(members["image"]))
    _, first = np.unique(places, return_index=True)
    first = np.sort(first[places[first] >= 0])
    return members.take(pa.array(first)), places[first]


def _described(store_rows: pa.Table) -> Iterator[dict[str, Any]]:
    for row in store_rows.to_pylist():
        yield {
            "id": row["image"].hex(),
            "name": row["name"],
            "source": row["source"].hex(),
            "ordinal": row["ordinal"],
        }


def _npy(output: Path, rows: pa.Table, matrix: Any, places: NDArray[np.int64], space: Space) -> list[Path]:
    listing = output.with_suffix(".csv")
    with whole(output) as scratch, whole(listing) as scratch_listing:
        with scratch.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(places), space.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(places), ROWS):
                file.write(np.ascontiguousarray(matrix[places[start : start + ROWS]], "<f4").tobytes())
        with scratch_listing.open("w", newline="", encoding="utf-8") as text:
            writer = csv.DictWriter(text, ["id", "name", "source", "ordinal"])
            writer.writeheader()
            for start in range(0, len(places), ROWS):
                writer.writerows(_described(rows.slice(start, ROWS)))
    return [output, listing]


def _parquet(output: Path, rows: pa.Table, matrix: Any, places: NDArray[np.int64], space: Space) -> list[Path]:
    import pyarrow.parquet as pq

    text = [pa.field(name, pa.string()) for name in ("id", "name", "source")]
    vector = pa.field("vector", pa.list_(pa.float32(), space.dim))
    schema = pa.schema([*text, pa.field("ordinal", pa.int64()), vector]).with_metadata(
        {"space": space.name, "fingerprint": space.fingerprint, "encoder": space.encoder}
    )
    # An open file: Arrow takes no path that is not UTF-8.
    with whole(output) as scratch, scratch.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        for start in range(0, len(places), ROWS):
            part = pa.Table.from_pylist(list(_described(rows.slice(start, ROWS))), schema.remove(4))
            block = np.ascontiguousarray(matrix[places[start : start + ROWS]], np.float32)
            column = pa.FixedSizeListArray.from_arrays(block.ravel(), space.dim)
            writer.write_table(part.append_column(vector, column).cast(schema))
    return [output]
