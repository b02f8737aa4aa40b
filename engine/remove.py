"""Remove: take images out of every table and cache. Their members stay in the ledger as removed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.compact import compact
from engine.errors import BadInput
from engine.select import matching
from engine.store import Store
from engine.store.names import resolve
from engine.store.table import in_list

# Ids in one SQL condition.
BATCH = 2000


def remove(store: Store, names: Sequence[str] = (), *, where: str | None = None) -> tuple[str | None, int, int]:
    """Remove the images that `names` resolve to or for which `where` holds; return (run, images, members).

    The ledger is written last: a removal that was killed is finished by the same command. Ingesting a source again
    does not bring removed members back, `restore=True` does.
    """
    if not names and where is None:
        raise BadInput("nothing to remove", "engine remove NAME..., or --where CONDITION")
    ids = list(dict.fromkeys(resolve(store, name) for name in names))
    if where is not None:
        ids = list(dict.fromkeys([*ids, *(one.tobytes() for one in _rows(matching(store, where)))]))
    if not ids:
        return None, 0, 0
    run = store.begin("remove", {"names": list(names), "where": where})
    with store.lock():
        tables = [*(store.vectors_table(space) for space in store.spaces().values() if not space.virtual)]
        for start in range(0, len(ids), BATCH):
            condition = in_list("id", ids[start : start + BATCH])
            for table in [*tables, store.thumbnails, store.labels, store.images]:
                table.delete(condition)
        members = _strike(store, ids, run)
    store.end(run, "remove", {"images": len(ids), "members": members})
    # Old versions and caches still hold what was removed.
    shutil.rmtree(store.cache / "vectors", ignore_errors=True)
    compact(store, wait=True)
    return run, len(ids), members


def _rows(ids: NDArray) -> Sequence[NDArray]:
    return list(ids)


def _strike(store: Store, ids: Sequence[bytes], run: str) -> int:
    """Mark the ledger's rows of the images as removed."""
    struck = 0
    for start in range(0, len(ids), BATCH):
        rows = store.members.read(where=f"removed IS NULL AND {in_list('image', ids[start : start + BATCH])}")
        column = rows.schema.get_field_index("removed")
        rows = rows.set_column(column, "removed", pa.array([run] * len(rows), pa.string()))
        struck += store.members.merge(rows, update="target.removed IS NULL")
    return struck


def removed_images(store: Store) -> int:
    """Return how many distinct images the ledger holds as removed."""
    return len(pc.unique(store.members.read(["image"], "removed IS NOT NULL")["image"]))
