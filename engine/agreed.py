"""One label for each image where what was said of it agrees."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

PREFERRED = """
    SELECT id, label FROM (
        SELECT id, label, rank() OVER (PARTITION BY id ORDER BY list_position(?, source)) AS place
        FROM spoken
        WHERE polarity AND NOT EXISTS (
            SELECT 1 FROM spoken AS veto WHERE veto.id = spoken.id AND veto.label = spoken.label AND NOT veto.polarity
        )
    )
    WHERE place = 1
"""
QUERY = "SELECT id, any_value(label) AS label, count(DISTINCT label) AS said FROM spoken GROUP BY id ORDER BY id"


def agreed(spoken: pa.Table) -> tuple[pa.Table, int]:
    """Return id and label, each image once, in the order of ids, and how many images were left out.

    Those of which several different things are said are left out: nothing is guessed.
    """
    import duckdb
    import pyarrow.compute as pc

    with duckdb.connect() as database:
        database.register("spoken", spoken.select(["id", "label"]))
        found = database.sql(QUERY).to_arrow_table()
    single = found.filter(pc.equal(found["said"], 1)).select(["id", "label"])
    return single, found.num_rows - single.num_rows


def preferred(spoken: pa.Table, sources: Sequence[str]) -> pa.Table:
    """Return id and label of what the first of `sources` that says anything of an image says, but for what is vetoed.

    `spoken` has id, label, polarity and source; "is not" vetoes, whoever says it.
    """
    import duckdb

    with duckdb.connect() as database:
        database.register("spoken", spoken)
        return database.sql(PREFERRED, params=[list(sources)]).to_arrow_table()
