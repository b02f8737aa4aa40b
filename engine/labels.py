"""The labels table: what is written into it, and what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.annotations import read_labels
from engine.errors import BadInput
from engine.store import Store
from engine.store.table import literal

ROWS = 8192
PREFERRED = """
    SELECT * EXCLUDE place FROM (
        SELECT *, rank() OVER (PARTITION BY id ORDER BY list_position(?, source)) AS place
        FROM spoken
        WHERE polarity AND NOT EXISTS (
            SELECT 1 FROM spoken AS veto WHERE veto.id = spoken.id AND veto.label = spoken.label AND NOT veto.polarity
        )
    )
    WHERE place = 1
"""


def append(
    store: Store,
    run: str,
    *,
    ids: NDArray[np.uint8],
    labels: Sequence[str] | pa.Array,
    source: str,
    scores: NDArray[np.float64] | None = None,
    polarity: bool = True,
    kind: str = "class",
) -> int:
    """Write a label for each of `ids` (n, 32) and return how many rows were new."""
    column = pa.array(labels, pa.string())
    return sum(
        store.labels.merge(
            _rows(
                run, ids[start : start + ROWS], column[start : start + ROWS], source,
                None if scores is None else scores[start : start + ROWS], polarity, kind,
            )
        )
        for start in range(0, len(ids), ROWS)
    )  # fmt: skip


def _rows(
    run: str,
    ids: NDArray[np.uint8],
    labels: pa.Array,
    source: str,
    scores: NDArray[np.float64] | None,
    polarity: bool,
    kind: str,
) -> pa.Table:
    images = [one.tobytes() for one in ids]
    keys = [
        hashlib.sha256(json.dumps([image.hex(), label, polarity, kind, source, run]).encode()).digest()
        for image, label in zip(images, labels.to_pylist(), strict=True)
    ]
    n = len(images)
    return pa.table(
        {
            "key": pa.array(keys, pa.binary()),
            "id": pa.array(images, pa.binary()),
            "label": labels,
            "polarity": pa.array([polarity] * n),
            "score": pa.nulls(n, pa.float64()) if scores is None else pa.array(scores, pa.float64()),
            "kind": pa.array([kind] * n),
            "source": pa.array([source] * n),
            "run": pa.array([run] * n),
        }
    )


def statements(store: Store, sources: Sequence[str]) -> pa.Table:
    """Return what counts among sources alone: id, label, polarity, source, run of kind class.

    Of each image that is what the first of the sources says of it; what is vetoed is left out.
    """
    import duckdb

    named = ", ".join(literal(source) for source in sources)
    columns = ["id", "label", "polarity", "source", "run"]
    with duckdb.connect() as database:
        database.register("spoken", store.labels.read(columns, f"kind = 'class' AND source IN ({named})"))
        return database.sql(PREFERRED, params=[list(sources)]).to_arrow_table()


def truth(store: Store, path: Path | None = None) -> pa.Table:
    """Return id and label of the truth: that in the store, or that of a CSV file image,label.

    Raises `BadInput` for names that no image has.
    """
    if path is None:
        return store.labels.read(["id", "label"], "kind = 'class' AND source = 'truth' AND polarity")
    named = {name: label for name, (label, _) in read_labels(path)[0].items() if label is not None}
    found: dict[str, bytes] = {}
    for batch in store.members.scan(["name", "image"], "removed IS NULL AND rejected IS NULL"):
        for name, image in zip(batch["name"].to_pylist(), batch["image"].to_pylist(), strict=True):
            found.update((known, image) for known in {name, PurePosixPath(name).name} & named.keys())
    unknown = [name for name in named if name not in found]
    if unknown:
        raise BadInput(f"{path}: {len(unknown)} names are no image's, first {unknown[0]!r}", "see: engine members")
    return pa.table(
        {
            "id": pa.array([found[name] for name in named], pa.binary()),
            "label": pa.array(list(named.values()), pa.string()),
        }
    )


def run_labels(store: Store, run: str) -> pa.Table:
    """Return id, label and score of a label run; raise `BadInput` if it is none."""
    known = [one["run"] for one in label_runs(store)]
    if run not in known:
        raise BadInput(f"{run!r} is no label run", f"there is {', '.join(known) or 'none; make one: engine label'}")
    return store.labels.read(["id", "label", "score"], f"kind = 'class' AND source = 'run' AND run = {literal(run)}")


def label_runs(store: Store) -> list[dict[str, Any]]:
    """Return the label runs, oldest first."""
    rows = sorted(store.runs.rows(where="command = 'label'"), key=lambda row: row["time"])
    starts = {row["run"]: json.loads(row["details"]) for row in rows if row["event"] == "start"}
    ends = {row["run"]: json.loads(row["details"]) for row in rows if row["event"] == "end"}
    return [
        {
            "run": run,
            **{key: details.get(key) for key in ("labeler", "space", "threshold", "classes")},
            "labelled": ends.get(run, {}).get("labelled"),
            "state": "proposed",
        }
        for run, details in starts.items()
    ]
