"""The labels table: append-only statements about images, each with its source and run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.store import Store
from engine.store.table import literal, steady

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_ROWS = 8192
# Of a statement by a person on an image, only the newest counts; runs are named by their time.
NEWEST = """
    SELECT id, label, polarity, source, run FROM labels
    WHERE kind = 'class'
    QUALIFY source <> 'human' OR run = max(run) OVER (PARTITION BY id, source)
"""


def append(
    store: Store,
    run: str,
    *,
    ids: NDArray[np.uint8],
    labels: Sequence[str] | pa.Array,
    source: str,
    scores: NDArray[np.float64] | None = None,
    polarity: bool = True,
    kind: str = "class",
) -> int:
    """Write a row for each of `ids` (n, 32); return how many were new. A score of nan is none."""
    import pyarrow as pa

    written = 0
    for start in range(0, len(ids), BLOCK_ROWS):
        end = start + BLOCK_ROWS
        names = labels[start:end] if isinstance(labels, Sequence) else labels[start:end].to_pylist()
        some = None if scores is None else pa.array(scores[start:end], from_pandas=True)
        rows = _rows(run, ids[start:end], names, source=source, polarity=polarity, kind=kind)
        table = pa.Table.from_pylist(list(rows), store.labels.schema)
        if some is not None:
            table = table.set_column(table.schema.get_field_index("score"), store.labels.schema.field("score"), some)
        written += store.labels.merge(table)
    return written


def _rows(
    run: str, ids: NDArray[np.uint8], labels: Sequence[str], *, source: str, polarity: bool, kind: str
) -> Iterator[dict[str, Any]]:
    for one, label in zip(ids, labels, strict=True):
        image = one.tobytes()
        statement = json.dumps([image.hex(), label, polarity, kind, source, run])
        key = hashlib.sha256(statement.encode()).digest()
        yield {
            "key": key,
            "id": image,
            "label": label,
            "polarity": polarity,
            "kind": kind,
            "source": source,
            "run": run,
        }


def statements(store: Store, sources: Sequence[str]) -> pa.Table:
    """Return what `sources` say of images: id, label, polarity, source, run; of a person only the newest counts."""
    import duckdb

    rows = steady(lambda: store.labels.read(where=f"source IN ({', '.join(map(literal, sources))})"))
    with duckdb.connect() as database:
        database.register("labels", rows)
        return database.sql(NEWEST).to_arrow_table()


def truth(store: Store) -> pa.Table:
    """Return the truth of each image that has one: id, label. Labelers never read it."""
    return store.labels.read(["id", "label"], "source = 'truth' AND kind = 'class' AND polarity")
