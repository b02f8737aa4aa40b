"""CSV: image, label, score, id, a line an image. `engine labels import` and `engine ingest --labels` read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from engine.labeling.exports.labelled import BLOCK_ROWS, Labelled

COLUMNS = ("image", "label", "score", "id")


def write(labelled: Labelled, path: Path) -> int:
    """Write all images, the label empty where there is none; return the lines."""
    import pyarrow.csv

    schema = pa.schema([(name, pa.float64() if name == "score" else pa.string()) for name in COLUMNS])
    with pyarrow.csv.CSVWriter(path, schema) as writer:
        for block in tables(labelled):
            writer.write_table(block.cast(schema))
    return len(labelled.rows)


def tables(labelled: Labelled) -> Iterator[pa.Table]:
    """Yield the columns image, label, score and id in blocks."""
    for start in range(0, len(labelled.rows), BLOCK_ROWS):
        rows = labelled.rows.slice(start, BLOCK_ROWS)
        names = rows["name"] if labelled.named is None else labelled.named.slice(start, BLOCK_ROWS)
        ids = pa.array([image.hex() for image in rows["id"].to_pylist()], pa.string())
        yield pa.table([names, rows["label"], rows["score"], ids], COLUMNS)
