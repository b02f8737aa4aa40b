"""Parquet: the columns of the CSV file, or with the pictures as the `Image` feature of Hugging Face datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from engine.labeling.exports.csv_file import COLUMNS, tables
from engine.labeling.exports.labelled import Labelled
from engine.labeling.exports.pictures import pictures

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
# Pictures of a row group lie in memory at once.
GROUP = 256


def write(labelled: Labelled, path: Path) -> int:
    """Write all images with their label or null; with pictures only those that have a label. Return the rows."""
    import pyarrow.parquet as pq

    image = PICTURE if labelled.images else pa.string()
    types = {"image": image, "label": pa.string(), "score": pa.float64(), "id": pa.string()}
    about = {"run": labelled.run or "", "classes": json.dumps(labelled.classes)}
    if labelled.images:
        # What `load_dataset("parquet")` shows as pictures; without it they would be dictionaries of bytes.
        kinds = {name: {"dtype": "float64" if name == "score" else "string", "_type": "Value"} for name in COLUMNS[1:]}
        about["huggingface"] = json.dumps({"info": {"features": {"image": {"_type": "Image"}, **kinds}}})
    rows = 0
    with pq.ParquetWriter(path, pa.schema(types).with_metadata(about)) as writer:
        for block in _pictured(labelled) if labelled.images else tables(labelled):
            writer.write_table(block.cast(writer.schema))
            rows += len(block)
    return rows


def _pictured(labelled: Labelled) -> Iterator[pa.Table]:
    stream = pictures(labelled.store, labelled.only_labelled())
    while block := list(islice(stream, GROUP)):
        yield pa.table(
            {
                "image": pa.array([{"bytes": data, "path": row["name"]} for row, data in block], PICTURE),
                "label": pa.array([row["label"] for row, _ in block], pa.string()),
                "score": pa.array([row["score"] for row, _ in block], pa.float64()),
                "id": pa.array([row["id"].hex() for row, _ in block], pa.string()),
            }
        )
