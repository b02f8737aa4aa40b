"""What is exported: images with the label that each has, or none, as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.select import connect
from engine.store import Store
from engine.store.table import steady

BLOCK_ROWS = 8192
# By their first members, in the order of sources and members.
ROWS = """
    SELECT images.id, first.name, images.width, images.height, images.format, chosen.label, chosen.score
    FROM images JOIN (
        SELECT image, name, source, ordinal FROM members WHERE removed IS NULL AND image IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY image ORDER BY source, ordinal) = 1
    ) AS first ON first.image = images.id
    LEFT JOIN (
        SELECT id, any_value(label) AS label, max(score) AS score FROM chosen
        GROUP BY id HAVING count(DISTINCT label) = 1
    ) AS chosen ON chosen.id = images.id
    ORDER BY first.source, first.ordinal
"""


@dataclass(frozen=True)
class Labelled:
    """`rows`: id, name, width, height, format, label, score, an image each; `classes` in the order of their numbers.

    `named` (n,) is what the user calls each row, where he gave a list. `images`: their bytes are wanted too.
    """

    store: Store
    rows: pa.Table
    classes: list[str]
    run: str | None
    images: bool = False
    named: pa.Array | None = None

    @property
    def labelled(self) -> int:
        return len(self.rows) - self.rows["label"].null_count

    def only_labelled(self) -> pa.Table:
        """Return the rows that have a label."""
        return self.rows.filter(pc.is_valid(self.rows["label"]))

    def blocks(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in blocks, as dictionaries."""
        for batch in self.rows.to_batches(max_chunksize=BLOCK_ROWS):
            yield batch.to_pylist()


def rows_of(store: Store, labels: pa.Table, classes: Sequence[str]) -> pa.Table:
    """Return every image with its label in `labels` (id, label, score), if that is one of `classes`."""
    wanted = labels.filter(pc.is_in(labels["label"], value_set=pa.array(classes, pa.string())))

    def joined() -> pa.Table:
        database = connect(store)
        database.register("chosen", wanted)
        return database.sql(ROWS).to_arrow_table()

    return steady(joined)


def taken(rows: pa.Table, ids: pa.Array) -> pa.Table:
    """Return the rows of `ids`, in their order, as often as each is there."""
    places: NDArray[np.int64] = pc.index_in(ids, value_set=rows["id"].combine_chunks()).to_numpy()
    return rows.take(places)
