"""A CSV file `image,label` that a user wrote, as labels of stored images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import BadInput
from engine.ingestion.annotations import read_labels
from engine.store import Store
from engine.store.many_names import resolve_all


def read_label_file(store: Store, path: Path) -> pa.Table:
    """Return id and label of every image that the file labels, each image once; lines without a label say nothing.

    Names are resolved as everywhere. Raises `BadInput` for a name that is no image or several, and for an image that
    two lines label differently.
    """
    by_name, by_ordinal = read_labels(path)
    if by_ordinal:
        raise BadInput(
            f"{path} holds IDX labels", f"bring them with their source: engine ingest SOURCE --labels {path}"
        )
    labels = {name: label for name, (label, _) in by_name.items() if label}
    if not labels:
        raise BadInput(f"{path} labels no image", "write a label into the column label")
    names, said = pa.array(labels.keys(), pa.string()), pa.array(labels.values(), pa.string())
    return _once(path, names, resolve_all(store, names, place=str(path)), said)


def scored_lines(path: Path) -> int:
    """Return how many labelled lines of a CSV file that can be read have a score, as an export of a run has."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return sum(bool(row.get("label") and row.get("score")) for row in csv.DictReader(file))


def _once(path: Path, names: pa.Array, ids: pa.Array, labels: pa.Array) -> pa.Table:
    """Return the rows with each image once, in the order of the file."""
    rows = pa.table({"id": ids, "label": labels, "row": np.arange(len(ids))})
    first = rows.group_by("id").aggregate([("label", "count_distinct"), ("row", "min")])
    if twice := first.filter(pc.field("label_count_distinct") > 1)["id"].to_pylist():
        same = rows.filter(pc.field("id") == pa.scalar(twice[0], pa.binary()))["row"]
        said = ", ".join(f"{names[row.as_py()]} is {labels[row.as_py()]}" for row in same)
        raise BadInput(
            f"{path} labels {len(twice)} image{'s' * (len(twice) > 1)} twice and differently, for instance {said}: "
            "these are the same image",
            "keep one of the lines",
        )
    return rows.select(["id", "label"]).take(np.sort(first["row_min"].to_numpy()))
