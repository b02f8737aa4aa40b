"""Remove: take images out of every table and cache. Their members stay in the ledger as removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from engine.compact import purge
from engine.errors import BadInput
from engine.neighbors.graph import drop as drop_graphs
from engine.retrieval import kept_index
from engine.select import matching
from engine.store import Store
from engine.store.names import resolve
from engine.store.table import in_list, literal
from engine.store.vectors import drop

# Ids in one SQL condition.
BATCH = 2000


class Removed(NamedTuple):
    """What a removal took away; `indexes` and `graphs` are the spaces whose index or graph went with it."""

    run: str | None
    images: int
    members: int
    indexes: list[str]
    graphs: list[str]


def remove(
    store: Store, names: Sequence[str] = (), *, where: str | None = None, duplicates: str | None = None
) -> Removed:
    """Remove the images that `names` resolve to or for which `where` holds; say what went.

    `duplicates` is a run of dedupe: of each of its groups all go but the image it keeps, where that is still stored;
    the image that is kept cannot be removed in the same go.

    The ledger is written first and at once, the tables follow it: a removal that was killed is finished by the same
    command or by the next removal. Ingesting a source again does not bring removed members back, `restore=True` does.
    Raises `BadInput`, `NoSuchImage`, `AmbiguousName`, and `StoreBusy` while others write.
    """
    if not names and where is None and duplicates is None:
        raise BadInput("nothing to remove", "engine remove NAME..., --where CONDITION, or --run RUN")
    # The key is absent where nothing was asked of it, as in runs of before.
    asked = {"names": list(names), "where": where, **({"run": duplicates} if duplicates else {})}
    with store.lock(alone=True):
        for run, request in unfinished(store).items():
            done = _finish(store, run)
            if request == asked and done.members:
                return done
        ids = {resolve(store, name) for name in names}
        if where is not None:
            ids.update(image.tobytes() for image in matching(store, where))
        if duplicates is not None:
            going, kept = _duplicates(store, duplicates)
            if both := ids & kept:
                raise BadInput(
                    f"{len(both)} of the images to remove are what run {duplicates} keeps in place of others, "
                    f"for instance id:{min(both).hex()[:16]}",
                    "leave them out, or remove them in a command of their own",
                )
            ids |= going
        if not ids:
            return Removed(None, 0, 0, [], [])
        run = store.begin("remove", asked)
        _strike(store, ids, run)
        return _finish(store, run)


def unfinished(store: Store) -> dict[str, dict[str, Any]]:
    """Return the removals that were begun and not ended, run → what was asked for, oldest first."""
    rows = sorted(store.runs.rows(where="command = 'remove'"), key=lambda row: row["time"])
    ended = {row["run"] for row in rows if row["event"] == "end"}
    return {row["run"]: json.loads(row["details"]) for row in rows if row["run"] not in ended}


def _duplicates(store: Store, run: str) -> tuple[set[bytes], set[bytes]]:
    """Return the images that a run of dedupe grouped with one that it keeps and that is still stored, and those."""
    if store.runs.count(f"run = {literal(run)} AND command = 'dedupe'") == 0:
        raise BadInput(f"there is no run {run!r} of dedupe", "list them: engine runs")
    rows = store.labels.read(["id", "label"], f"kind = 'group' AND run = {literal(run)}").to_pylist()
    members = {row["id"]: bytes.fromhex(row["label"]) for row in rows}
    wanted = sorted(set(members.values()))
    stored: set[bytes] = set()
    for start in range(0, len(wanted), BATCH):
        found = store.images.rows(["id"], in_list("id", wanted[start : start + BATCH]))
        stored.update(row["id"] for row in found)
    return {image for image, kept in members.items() if image != kept and kept in stored}, stored


def _strike(store: Store, ids: set[bytes], run: str) -> None:
    """Mark all members of the images as removed, in one commit: it happens to all of them or to none."""
    schema = store.members.schema
    wanted = pa.array(ids, pa.binary())
    alive = store.members.scan(schema.names, "removed IS NULL AND image IS NOT NULL")
    parts = [batch.filter(pc.is_in(batch["image"], value_set=wanted)) for batch in alive]
    rows = pa.Table.from_batches(parts, schema)
    column = pa.array([run] * len(rows), pa.string())
    store.members.merge(
        rows.set_column(schema.get_field_index("removed"), schema.field("removed"), column),
        update="target.removed IS NULL",
    )


def _finish(store: Store, run: str) -> Removed:
    """Take out of every table and cache what the ledger says this run removed."""
    members = store.members.read(["image"], f"removed = {literal(run)}")["image"]
    struck = pc.unique(members)
    # After a removal that was killed one of the images may have been restored through another source.
    gone = struck.filter(pc.invert(pc.is_in(struck, value_set=_alive(store, struck)))).to_pylist()
    spaces = [store.vectors_table(space) for space in store.spaces().values() if not space.virtual]
    for start in range(0, len(gone), BATCH):
        condition = in_list("id", gone[start : start + BATCH])
        for table in [*spaces, store.thumbnails, store.labels, store.maps, store.images]:
            table.delete(condition)
    # Caches and old versions still hold what was removed.
    drop(store.cache / "vectors")
    indexes = kept_index.drop(store)
    graphs = drop_graphs(store)
    shutil.rmtree(store.cache / "training", ignore_errors=True)
    purge(store)
    store.end(run, "remove", {"images": len(gone), "members": len(members)})
    return Removed(run, len(gone), len(members), indexes, graphs)


def _alive(store: Store, images: pa.Array) -> pa.Array:
    """Return those of `images` that a member still has; the ledger is streamed."""
    batches = store.members.scan(["image"], "removed IS NULL AND image IS NOT NULL")
    parts = [batch["image"].filter(pc.is_in(batch["image"], value_set=images)) for batch in batches]
    return pa.concat_arrays([images[:0], *parts])
