"""In what two label runs differ, class by class."""

from __future__ import annotations

from typing import Any

from engine.labeling.labels import run_labels
from engine.members import first_names
from engine.store import Store

SHOWN = 5
# An image that the two runs label differently is told under both classes.
KINDS = """
    SELECT label, id, CASE WHEN first = second THEN 'both' WHEN second IS NULL THEN 'only_first'
        WHEN first IS NULL THEN 'only_second' ELSE 'different' END AS kind
    FROM (
        SELECT coalesce(a.id, b.id) AS id, a.label AS first, b.label AS second,
            unnest(list_distinct([a.label, b.label])) AS label
        FROM a FULL JOIN b ON a.id = b.id
    )
"""
COUNTS = f"SELECT label, kind, count(*) FROM ({KINDS}) GROUP BY ALL ORDER BY ALL"
EXAMPLES = f"""
    SELECT label, kind, id FROM ({KINDS}) WHERE kind <> 'both'
    QUALIFY row_number() OVER (PARTITION BY label, kind ORDER BY id) <= {SHOWN} ORDER BY ALL
"""


def diff(store: Store, first: str, second: str) -> dict[str, dict[str, Any]]:
    """Return for each class how many images both runs give it, only the `first`, only the `second`, or one of them
    while the other gives another class (`different`), and under `names` a few of each but the first.

    Raises `BadInput` for a run that did not label.
    """
    import duckdb

    with duckdb.connect(config={"threads": 2}) as database:
        database.register("a", run_labels(store, first))
        database.register("b", run_labels(store, second))
        counts = database.execute(COUNTS).fetchall()
        examples = database.execute(EXAMPLES).fetchall()
    called = first_names(store, [image for _, _, image in examples])
    classes: dict[str, dict[str, Any]] = {}
    for label, kind, number in counts:
        empty = {"both": 0, "only_first": 0, "only_second": 0, "different": 0, "names": {}}
        classes.setdefault(label, empty)[kind] = number
    for label, kind, image in examples:
        classes[label]["names"].setdefault(kind, []).append(called[image])
    return classes
