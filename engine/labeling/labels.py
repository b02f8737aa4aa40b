"""The labels table: statements are appended to it, and what stands is read from it. Nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.ingestion.annotations import ROLES, statement_key
from engine.labeling.label_file import read_label_file
from engine.labeling.precedence import ACCEPT, PEOPLE, PRECEDENCE, REVERT, STANDING, statements_sql
from engine.select import connect
from engine.store import Store
from engine.store.table import literal, steady

BLOCK_ROWS = 8192
# Two different truths are none.
TRUTH = """
    SELECT id, any_value(label) AS label FROM labels WHERE source = 'truth' AND kind = 'class' AND polarity
    GROUP BY id HAVING count(DISTINCT label) = 1 ORDER BY id
"""


def append(
    store: Store,
    run: str,
    *,
    ids: NDArray[np.uint8],
    labels: Sequence[str | None] | pa.Array,
    source: str,
    scores: NDArray[np.float64] | None = None,
    polarity: bool | None = True,
    kind: str = "class",
) -> int:
    """Write a statement about each of `ids` (n, 32), in blocks, and return how many rows were new.

    A score of nan is none. `polarity` None takes back what was said of the image; with a label None, all of it. What
    came with the data is one row however often it comes; otherwise each run makes statements of its own. The caller
    holds the store's lock: no image goes meanwhile.
    """
    names = labels if isinstance(labels, pa.Array | pa.ChunkedArray) else pa.array(labels, pa.string())
    values = np.full(len(ids), np.nan) if scores is None else scores
    if not len(ids) == len(names) == len(values):
        raise ValueError(f"{len(ids)} ids, {len(names)} labels, {len(values)} scores")
    written = 0
    for start in range(0, len(ids), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        said = names[block].to_pylist()
        rows = _rows(ids[block], said, values[block], polarity=polarity, kind=kind, source=source, run=run)
        written += store.labels.merge(rows)
    return written


def _rows(
    ids: NDArray[np.uint8],
    labels: Sequence[str | None],
    scores: NDArray[np.float64],
    *,
    polarity: bool | None,
    kind: str,
    source: str,
    run: str,
) -> pa.Table:
    images = [row.tobytes() for row in ids]
    named = None if source in ROLES else run
    keys = [
        statement_key(image, label, polarity=polarity, kind=kind, source=source, run=named)
        for image, label in zip(images, labels, strict=True)
    ]
    n = len(keys)
    table = pa.table(
        {
            "key": pa.array(keys, pa.binary()),
            "id": pa.array(images, pa.binary()),
            "label": pa.array(labels, pa.string()),
            "polarity": pa.array([polarity] * n, pa.bool_()),
            "score": pa.array(scores, pa.float64(), from_pandas=True),
            "kind": pa.array([kind] * n),
            "source": pa.array([source] * n),
            "run": pa.array([run] * n),
        }
    )
    # Of a statement that is made twice at once, both would be inserted.
    first = {key: row for row, key in reversed(list(enumerate(keys)))}
    return table if len(first) == n else table.take(sorted(first.values()))


def statements(store: Store, sources: Sequence[str]) -> pa.Table:
    """Return what counts among `sources` alone: id, label, polarity, source, run of kind class.

    Of each image that is what the first of the sources says of it (two labels of one source are both there), and what
    people say it is not. Runs that were reverted or not accepted, words that were replaced or taken back, and what a
    person vetoes are left out. Truth is no source: labelers and training must not read it.
    """
    if wrong := set(sources) - set(PRECEDENCE):
        raise ValueError(f"{', '.join(sorted(wrong))} is none of {', '.join(PRECEDENCE)}")
    return steady(lambda: connect(store).sql(statements_sql(tuple(sources))).to_arrow_table())


def class_names(store: Store) -> list[str]:
    """Return the classes that anybody speaks of whose word stands, sorted."""
    sql = f"{STANDING} SELECT DISTINCT label FROM standing ORDER BY label"
    return steady(lambda: [label for (label,) in connect(store).execute(sql).fetchall()])


@dataclass(frozen=True)
class Said:
    """What a person says of an image: that it is of class `label`, or is not; `source` is human or exemplar."""

    source: str
    label: str
    polarity: bool


def said_of(store: Store, image: bytes) -> list[Said]:
    """Return what people say of an image, and as what it is an exemplar."""
    sql = f"""
        {STANDING} SELECT source, label, polarity FROM standing WHERE id = ? AND source IN {PEOPLE!r} ORDER BY ALL
    """
    return steady(lambda: [Said(*row) for row in connect(store).execute(sql, [image]).fetchall()])


def truth(store: Store, path: Path | None = None) -> pa.Table:
    """Return id and label of the truth that the store was given, or that the CSV file `path` (image,label) gives.

    For evaluation only: labelers and training must never read it. Raises `BadInput` for names that are no image.
    """
    return read_label_file(store, path) if path else steady(lambda: connect(store).sql(TRUTH).to_arrow_table())


def run_labels(store: Store, run: str) -> pa.Table:
    """Return id, label and score of what a label run wrote; raise `BadInput` if there is no such run."""
    label_run(store, run)
    where = f"source = 'run' AND kind = 'class' AND polarity AND run = {literal(run)}"
    return store.labels.read(["id", "label", "score"], where)


def label_run(store: Store, run: str) -> dict[str, Any]:
    """Return what `label_runs` says of one run; raise `BadInput` with the list of them if it is none."""
    known = {one["run"]: one for one in label_runs(store)}
    if run not in known:
        raise BadInput(
            f"{run!r} is no run that labelled; there is {', '.join(known) or 'none'}",
            "list them: engine labels" if known else "make one: engine label --exemplar CLASS=IMAGE --threshold 0.75",
        )
    return known[run]


def label_runs(store: Store) -> list[dict[str, Any]]:
    """Return every label run that came to its end, oldest first: run, labeler, space, threshold, state, labelled,
    classes. The state is proposed, accepted or reverted."""
    rows = sorted(store.runs.rows(where="command = 'label'"), key=lambda row: row["time"])
    ends = {row["run"]: json.loads(row["details"]) for row in rows if row["event"] == "end"}
    states = decisions(store)
    return [
        {
            "run": row["run"],
            **{name: asked.get(name) for name in ("labeler", "space", "threshold")},
            "state": states.get(row["run"], "proposed"),
            "labelled": ends[row["run"]].get("labelled"),
            "classes": _in_order(asked.get("classes") or (), ends[row["run"]].get("classes") or {}),
        }
        for row in rows
        if row["event"] == "start" and "error" not in ends.get(row["run"], {"error": "killed"})
        for asked in [json.loads(row["details"])]
    ]


def _in_order(names: Sequence[str], results: dict[str, Any]) -> dict[str, Any]:
    """Return what a run said of its classes, in the order in which they were given: the table has them sorted."""
    return {name: results.get(name) for name in dict.fromkeys([*names, *results])}


def decisions(store: Store) -> dict[str, str]:
    """Return what was decided last of each run that was accepted or reverted."""
    rows = store.runs.rows(where=f"event = 'end' AND command IN {(ACCEPT, REVERT)!r}")
    return {
        json.loads(row["details"]).get("run", ""): "accepted" if row["command"] == ACCEPT else "reverted"
        for row in sorted(rows, key=lambda row: row["time"])
    }
