"""The ledger, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.store import Store
from engine.store.names import source_names
from engine.store.table import in_list


def members(store: Store, *, rejected: bool = False, removed: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every member, or only those rejected or removed, as `engine members --json` prints them."""
    conditions = [name for name, wanted in (("rejected", rejected), ("removed", removed)) if wanted]
    where = " OR ".join(f"{name} IS NOT NULL" for name in conditions) or None
    paths = source_names(store)
    for batch in store.members.scan(["source", "ordinal", "name", "image", "rejected", "removed", "split"], where):
        for row in batch.to_pylist():
            yield {
                "source": paths.get(row["source"]),
                "ordinal": row["ordinal"],
                "name": row["name"],
                "id": row["image"].hex() if row["image"] else None,
                "rejected": row["rejected"],
                "removed": row["removed"],
                "split": row["split"],
            }


def first_names(store: Store, ids: Sequence[bytes]) -> dict[bytes, str]:
    """Return what each of a few images is called: the name of its first member."""
    rows = store.members.rows(["source", "ordinal", "name", "image"], f"removed IS NULL AND {in_list('image', ids)}")
    ordered = sorted(rows, key=lambda row: (row["source"], row["ordinal"]), reverse=True)
    return {row["image"]: row["name"] for row in ordered}
