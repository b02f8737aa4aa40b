"""Relocate: tell the store that a source, or a folder of sources, has moved."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import BadInput, SourceCut
from engine.ingestion.embed import membership
from engine.ingestion.plan import stamp_of
from engine.sources import open_source
from engine.store import Store
from engine.store.table import literal

SAMPLE = 16


def relocate(store: Store, old: Path, new: Path) -> list[Path]:
    """Point every source at or under `old` to `new`; return the new paths.

    A sample of each source's members must give the digests that are stored; else `BadInput`, and nothing is changed.
    """
    # As the sources' own paths are kept: without dots, links not followed.
    before, after = Path(os.path.abspath(old)), Path(os.path.abspath(new))
    with store.lock(alone=True):
        rows = [row for row in store.sources.rows() if Path(row["path"]).is_relative_to(before)]
        if not rows:
            known = ", ".join(sorted(row["path"] for row in store.sources.rows())[:3])
            raise BadInput(f"no source of this store is at {before}", f"its sources are: {known}" if known else None)
        moved = [_moved(store, row, after / Path(row["path"]).relative_to(before)) for row in rows]
        with store.run("relocate", {"old": str(before), "new": str(after)}) as run:
            store.sources.merge(pa.Table.from_pylist(moved, store.sources.schema), update="true")
            run.result["sources"] = len(moved)
    return [Path(row["path"]) for row in moved]


def _moved(store: Store, row: dict[str, Any], path: Path) -> dict[str, Any]:
    if not path.exists():
        raise BadInput(f"there is nothing at {path}", "name the place that the source is at now")
    where = f"source = {literal(row['digest'])} AND image IS NOT NULL"
    members = store.members.read(["ordinal", "image"], where).sort_by("ordinal")
    picked = members.take(np.unique(np.linspace(0, max(0, len(members) - 1), min(SAMPLE, len(members)), dtype=int)))
    expected = dict(zip(picked["ordinal"].to_pylist(), picked["image"].to_pylist(), strict=True))
    source = open_source(path)
    found = {}
    try:
        for member in source.members(membership(picked["ordinal"].to_numpy())):
            found[member.ordinal] = hashlib.sha256(member.data or b"").digest()
    except SourceCut as cut:
        # One that was cut off when it was ingested still is; all that is stored came before.
        if not row["cut"]:
            raise BadInput(f"{path} is cut off: {cut.message}", "copy it again") from None
    if wrong := [ordinal for ordinal, image in expected.items() if found.get(ordinal) != image]:
        raise BadInput(
            f"{path} is another source: {len(wrong)} of {len(expected)} members compared differ (first: @{wrong[0]})",
            "ingest it as a new one: engine ingest",
        )
    if not expected and source.digest() != row["digest"]:
        raise BadInput(f"nothing of {row['path']} is stored that {path} could be compared with", "ingest it")
    # Only a file that lists the same members may be taken for the whole of what was ingested.
    same = sum(1 for _ in source.names()) == row["members"] if row["complete"] and not row["cut"] else False
    return {**row, "path": str(path), "stamp": stamp_of(source) if same else ""}
