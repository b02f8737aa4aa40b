"""What the points of a map are coloured by: labels, truth, a cluster run, a run's scores, or its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.clustering.cluster_runs import NOISE, ClusterRun, cluster_run
from engine.errors import BadInput
from engine.labeling.agreed import agreed
from engine.labeling.evaluate import newest_run
from engine.labeling.labels import run_labels, truth
from engine.pictures.chart import COLOURS, QUIET
from engine.pictures.palette import Groups, Values
from engine.select import all_labels
from engine.store import Store

# Those with a run take the newest where none is named.
KINDS = ("label", "truth", "cluster:RUN", "score:RUN", "error:RUN")


def colouring(
    store: Store, ids: NDArray[np.uint8], by: str | None = None, *, truth_file: Path | None = None
) -> tuple[str | None, Groups | Values | None]:
    """Return what the images `ids` (n, 32) are coloured by, and the group or value of each.

    `by` is one of `KINDS`; without it the labels that count, if there are any. `truth_file` (CSV image,label) takes
    the place of the store's truth. Raises `BadInput` for another word, a run that is none, and where no truth is.
    """
    kind, colon, name = (by or "label").partition(":")
    if kind not in [one.partition(":")[0] for one in KINDS] or (colon and (not name or kind in KINDS)):
        raise BadInput(f"--color {by!r} is not known", f"use one of {', '.join(KINDS)}")
    if truth_file is not None and kind not in ("truth", "error"):
        raise BadInput(f"--truth is of no use to --color {kind}", "use --color truth or error:RUN")
    if kind == "label":
        labels = all_labels(store)
        return (None, None) if by is None and not len(labels) else ("label", _groups(ids, labels))
    if kind == "truth":
        return kind, _groups(ids, _truth(store, truth_file), nothing="no truth")
    if kind == "cluster":
        found = cluster_run(store, name or None)
        return f"cluster:{found.run}", _clusters(ids, found)
    run = name or newest_run(store)
    if kind == "score":
        return f"score:{run}", _scores(ids, run_labels(store, run), run)
    return f"error:{run}", _errors(ids, run_labels(store, run), _truth(store, truth_file))


def _truth(store: Store, path: Path | None) -> pa.Table:
    known, _ = agreed(truth(store, path))
    if not len(known):
        raise BadInput(
            "no truth is known", "name a file: --truth labels.csv, or keep it: engine ingest ... --labels-role truth"
        )
    return known


def aligned(ids: NDArray[np.uint8], table: pa.Table, column: str) -> pa.Array:
    """Return the value that `table` (id, column) has of each of `ids`, null for none."""
    values = table[column].combine_chunks()
    places = pc.index_in(_binary(ids), value_set=table["id"].combine_chunks().cast(pa.binary()))
    return values.take(places)


def _binary(ids: NDArray[np.uint8]) -> pa.Array:
    flat = pa.py_buffer(np.ascontiguousarray(ids).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(ids.shape[1]), len(ids), [None, flat]).cast(pa.binary())


def _groups(ids: NDArray[np.uint8], table: pa.Table, *, nothing: str = "no label") -> Groups:
    return Groups.of(aligned(ids, table, "label").to_pylist(), nothing=nothing)


def _clusters(ids: NDArray[np.uint8], found: ClusterRun) -> Groups:
    table = pa.table({"id": _binary(found.ids), "label": pa.array(found.codes)})
    codes = aligned(ids, table, "label").to_pylist()
    nothing = NOISE if None not in codes else f"{NOISE}, or in no cluster" if found.noise else "in no cluster"
    return Groups.of([None if code is None or code < 0 else str(code) for code in codes], nothing=nothing)


def _scores(ids: NDArray[np.uint8], written: pa.Table, run: str) -> Values:
    scores = aligned(ids, written, "score").to_numpy(zero_copy_only=False).astype(np.float64)
    return Values(scores, f"score of run {run}")


def _errors(ids: NDArray[np.uint8], written: pa.Table, known: pa.Table) -> Groups:
    said = np.array(aligned(ids, written, "label").to_pylist(), object)
    true = np.array(aligned(ids, known, "label").to_pylist(), object)
    has, spoken = true != None, said != None  # noqa: E711
    codes = np.full(len(ids), -1, np.int32)
    codes[has & spoken & (said == true)] = 0
    codes[has & spoken & (said != true)] = 1
    codes[has & ~spoken] = 2
    return Groups(codes, ("right", "wrong", "not labelled"), "no truth", (COLOURS[0], COLOURS[1], QUIET))
