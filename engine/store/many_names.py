"""Many names at once: what `names.resolve` does for one, as one join over the ledger."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import BadInput, EngineError
from engine.store.names import resolve
from engine.store.store import Store
from engine.store.table import steady

# What a member may be called, and in which order the forms are tried. A member that was removed or rejected still owns
# its exact name: no other image is meant by it.
RESOLVED = r"""
    WITH owners AS (
        SELECT name, ordinal, CASE WHEN removed IS NULL THEN image END AS image, regexp_extract(name, '[^/]*$') AS file
        FROM members
    ),
    forms AS (
        SELECT name AS form, image, 1 AS place FROM owners
        UNION ALL SELECT '@' || ordinal, image, 2 FROM owners
        UNION ALL SELECT file, image, 3 FROM owners
        UNION ALL SELECT regexp_replace(file, '(?s)^(.+)\.[^.]+$', '\1'), image, 3 FROM owners
    ),
    found AS (
        SELECT row, image, rank() OVER (PARTITION BY row ORDER BY place) AS place
        FROM wanted JOIN forms ON forms.form = wanted.name
    ),
    meant AS (
        SELECT row, any_value(image) AS id FROM found WHERE place = 1 GROUP BY row HAVING count(DISTINCT image) = 1
    )
    SELECT id FROM wanted LEFT JOIN meant USING (row) ORDER BY row
"""


def resolve_all(store: Store, names: pa.Array, *, place: str) -> pa.Array:
    """Return the ids of the images that `names` stand for, in their order.

    Raises `BadInput` with the first name that stands for no image or for several, and how many such there are; `place`
    is the file they were read from.
    """
    ids = steady(lambda: _joined(store, names))
    open_rows = np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False)).tolist()
    # `id:HEX` and `SOURCE@N` are rare in a list and asked for one by one.
    alone = {row: _resolved(store, name) for row in open_rows if _is_special(name := names[row].as_py())}
    if unknown := [row for row in open_rows if alone.get(row) is None]:
        raise _error(store, names[unknown[0]].as_py(), len(unknown), place)
    return pc.replace_with_mask(ids, ids.is_null(), pa.array(alone.values(), pa.binary())) if alone else ids


def _joined(store: Store, names: pa.Array) -> pa.Array:
    import duckdb

    members = store.members.dataset()
    with duckdb.connect(config={"threads": 2}) as database:
        database.register("members", store.members.schema.empty_table() if members is None else members)
        database.register("wanted", pa.table({"row": np.arange(len(names)), "name": names}))
        return database.sql(RESOLVED).to_arrow_table()["id"].combine_chunks()


def _is_special(name: str) -> bool:
    return name.startswith("id:") or "@" in name.lstrip("@")


def _resolved(store: Store, name: str) -> bytes | None:
    try:
        return resolve(store, name)
    except EngineError:
        return None


def _error(store: Store, first: str, number: int, place: str) -> BadInput:
    try:
        resolve(store, first)
    except EngineError as error:
        more = f" (and {number - 1} names more)" if number > 1 else ""
        return BadInput(f"{place}: {error.message}{more}", error.remedy)
    return BadInput(f"{place}: the store changed while it was read", "give the same command again")
