"""Compact: many small fragments become few, versions that nobody reads any more go."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.errors import StoreBusy
from engine.store import Store, Table
from engine.store.durable import durable, folders, if_free

# After an ingest a table is compacted by itself when it has more than this of either.
FRAGMENTS = 64
VERSIONS = 256
# Columns by which rows are looked up one at a time. Lance scans the rows that an index does not know yet, which is
# quick enough for this many (a scan takes about 30 ms a million).
LOOKUPS = {"members": ("image", "name", "ordinal"), "labels": ("id",)}
UNINDEXED = 50_000
# A search that runs meanwhile keeps the version it began with for a moment.
GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Size:
    """What a table takes: bytes on the disk, live rows, fragments and versions."""

    table: str
    rows: int
    bytes: int
    fragments: int
    versions: int


def sizes(store: Store) -> Iterator[Size]:
    """Yield the size of every table that exists."""
    for table in store.tables():
        dataset = table.dataset()
        if dataset is not None:
            total = sum(path.stat().st_size for path in table.path.rglob("*") if path.is_file())
            versions = sum(1 for _ in (table.path / "_versions").glob("*.manifest"))
            yield Size(table.name, dataset.count_rows(), total, len(dataset.get_fragments()), versions)


def piled_up(store: Store) -> list[str]:
    """Return the tables that have more fragments, versions or rows no index knows than is good for them."""
    crowded = {size.table for size in sizes(store) if size.fragments > FRAGMENTS or size.versions > VERSIONS}
    return [table.name for table in store.tables() if table.name in crowded or _unindexed(table)]


def compact(store: Store) -> None:
    """Compact every table, drop old versions and remove what killed writers left behind.

    Raises `StoreBusy` while others write.
    """
    with store.lock(alone=True):
        purge(store)


def purge(store: Store) -> None:
    """Compact every table so that nothing stays but its newest rows; the caller holds the lock alone.

    Tables of vectors that no space points to any more go, with what was made from them, and so does what
    stopped trainings kept.
    """
    for table in store.unpointed():
        for made in (store.cache / kind / table.name for kind in ("vectors", "indexes", "graphs")):
            shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(table.path)
    _drop_trainings(store.cache / "training")
    for table in store.tables():
        _compact(table, timedelta(0), leftovers=True)


def _drop_trainings(root: Path) -> None:
    """Remove what trainings that were given up left in `root`; one that goes on holds its lock."""
    left = {folder.name for folder in folders(root)} | {path.stem for path in root.glob("*.lock")}
    for name in sorted(left):
        lock = root / f"{name}.lock"
        with if_free(lock) as free:
            if free:
                shutil.rmtree(root / name, ignore_errors=True)
                lock.unlink(missing_ok=True)


def compact_if_piled_up(store: Store) -> list[str]:
    """Compact what has piled up, beside readers; return the tables. Where others still write it is left to them."""
    names = piled_up(store)
    if not names:
        return []
    try:
        with store.lock(alone=True):
            for table in store.tables():
                if table.name in names:
                    _compact(table, GRACE, leftovers=False)
    except StoreBusy:
        return []
    return names


def _compact(table: Table, grace: timedelta, *, leftovers: bool) -> None:
    dataset = table.dataset()
    if dataset is None:
        return
    with durable(table.path):
        dataset.optimize.compact_files(materialize_deletions_threshold=0.0)
        for column in _unindexed(table):
            _newest(table).create_scalar_index(column, "BTREE")
        _newest(table).cleanup_old_versions(older_than=grace, delete_unverified=leftovers)


def _newest(table: Table) -> Any:
    dataset = table.dataset()
    assert dataset is not None
    return dataset


def _unindexed(table: Table) -> list[str]:
    """Return the columns of `LOOKUPS` whose index is missing or does not know many of the rows."""
    dataset = table.dataset()
    if dataset is None or table.name not in LOOKUPS:
        return []
    counts = {str(part.fragment_id): part.count_rows() for part in dataset.get_fragments()}
    known: dict[str, set[str]] = {}
    for index in dataset.list_indices():
        known.setdefault(index["fields"][0], set()).update(map(str, index["fragment_ids"]))
    return [
        column
        for column in LOOKUPS[table.name]
        if sum(rows for name, rows in counts.items() if name not in known.get(column, ())) > UNINDEXED
    ]
