"""What a store holds, for `info`, `spaces` and `runs`."""

from __future__ import annotations

import json
import time
from typing import Any

from engine import fused
from engine.compact import sizes
from engine.neighbors.graph import graphs
from engine.retrieval import kept_index
from engine.select import connect
from engine.store import Space, Store


def info(store: Store) -> dict[str, Any]:
    """Return counts, spaces, labels by source, and what each table takes on the disk."""
    labels = connect(store).execute("SELECT source, count(*) FROM labels GROUP BY ALL ORDER BY ALL").fetchall()
    tables = list(sizes(store))
    return {
        "images": store.images.count(),
        "members": store.members.count(),
        "duplicates": store.members.count("rejected IS NULL AND removed IS NULL") - store.images.count(),
        "rejected": store.members.count("rejected IS NOT NULL AND removed IS NULL"),
        "removed": store.members.count("removed IS NOT NULL"),
        "sources": store.sources.count(),
        "spaces": {one["space"]: one for one in spaces(store)},
        "labels": dict(labels),
        "indexes": _indexes(store),
        "graphs": graphs(store),
        "default_space": store.default_space(),
        "bytes": sum(size.bytes for size in tables),
        "cache_bytes": sum(path.stat().st_size for path in store.cache.rglob("*") if path.is_file()),
        "tables": {
            size.table: {"rows": size.rows, "bytes": size.bytes, "fragments": size.fragments, "versions": size.versions}
            for size in tables
        },
        "store_version": store.versions(),
    }


def _indexes(store: Store) -> list[dict[str, Any]]:
    states = (kept_index.read(store, space) for space in store.spaces().values())
    return [kept_index.summary(state) for state in states if state is not None and kept_index.is_whole(state)]


def spaces(store: Store) -> list[dict[str, Any]]:
    """Return each space with fingerprint, encoder and coverage."""
    images = store.images.count()
    default = store.default_space()
    return [_space(store, space, images, default) for space in store.spaces().values()]


def _space(store: Store, space: Space, images: int, default: str | None) -> dict[str, Any]:
    rows = fused.rows(store, space)
    return {
        "space": space.name,
        "encoder": space.encoder,
        "fingerprint": space.fingerprint,
        "dim": space.dim,
        "rows": rows,
        "coverage": rows / images if images else None,
        "default": space.name == default,
        "recipe": space.recipe,
    }


def runs(store: Store) -> list[dict[str, Any]]:
    """Return every run, oldest first; one without an end was killed or is still going."""
    rows = store.runs.rows()
    ends = {row["run"]: row for row in rows if row["event"] == "end"}
    return [
        {
            "run": row["run"],
            "command": row["command"],
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["time"])),
            "seconds": _seconds(row, ends[row["run"]]) if row["run"] in ends else None,
            "state": _state(ends.get(row["run"])),
            "details": json.loads(row["details"]),
            "result": json.loads(ends[row["run"]]["details"]) if row["run"] in ends else None,
        }
        for row in sorted((row for row in rows if row["event"] == "start"), key=lambda row: row["time"])
    ]


def _seconds(start: dict[str, Any], end: dict[str, Any]) -> float:
    """Return what a run took; of one that is recorded once all is computed, what it says itself."""
    said = (json.loads(row["details"]).get("seconds", 0.0) for row in (start, end))
    return round(max(end["time"] - start["time"], *said), 3)


def _state(end: dict[str, Any] | None) -> str:
    if end is None:
        return "unfinished"
    return "failed" if "error" in json.loads(end["details"]) else "done"
