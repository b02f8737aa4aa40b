"""One label for each image where what was said of it agrees."""

from __future__ import annotations

import pyarrow as pa

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
