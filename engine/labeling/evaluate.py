"""Evaluate: a label run beside the truth. Exemplars are counted nowhere: they were given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.labeling import labels
from engine.labeling.agreed import agreed
from engine.labeling.rescore import exemplar_ids, scored
from engine.store import Store
from engine.store.table import literal
from engine.store.vectors import id_array, sort_key
from labelers.metrics import Curve, Report, precision_coverage, report, roc

# Classes that an error names.
SHOWN = 5


@dataclass(frozen=True)
class Evaluation:
    """A label run beside the truth of `images`; the arrays of `report`, the curves and areas follow `classes`.

    exemplars, conflicting  images left out: the run's exemplars, and those of which the truth says several things
    unknown                 images of classes that the run does not know: right is to give them none
    truthless               images that the run labelled and of which no truth is known
    rocs, areas             each class against the rest, ranked by the score in that class alone; the area is nan where
                            the curve is not complete
    coverages, overall      precision over coverage at falling thresholds, of each class and of all, each image being
                            answered with its best class only
    complete                the curves go on below the threshold of the run; `note` says why not, or what is amiss
    """

    run: str
    details: dict[str, Any]
    classes: tuple[str, ...]
    report: Report
    images: int
    exemplars: int
    conflicting: int
    unknown: int
    truthless: int
    rocs: list[Curve]
    areas: NDArray[np.float64]
    coverages: list[Curve]
    overall: Curve
    complete: bool
    note: str


@dataclass(frozen=True)
class _Rows:
    """What is known of images: codes, −1 for none; `scores` are −inf where the run gave none."""

    ids: NDArray[np.uint8]
    truth: NDArray[np.int32]
    answer: NDArray[np.int32]
    scores: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.ids[keep], self.truth[keep], self.answer[keep], self.scores[keep])


def evaluate(
    store: Store,
    run: str | None = None,
    *,
    truth: str | PathLike[str] | None = None,
    names: Mapping[str, str] | None = None,
) -> Evaluation:
    """Return how the labels of `run` compare with the truth in the store, or in a CSV file `truth` (image,label).

    Without a name it is the newest label run. `names` maps classes of the run to what the truth calls them.
    Images without a truth count nowhere; those without a label, or whose class the run does not know, count as none.
    Raises `BadInput` if `run` is no label run, where there is no truth, and where it knows no class of the run.
    """
    run = newest_run(store) if run is None else run
    written, details = labels.run_labels(store, run), _details(store, run)
    known, conflicting = agreed(labels.truth(store, None if truth is None else Path(truth)))
    classes = _renamed(run, details["classes"], names or {})
    every = _joined(known, written, details["classes"], classes)
    if len(every.ids) and not (every.truth >= 0).any():
        theirs = sorted(pc.unique(known["label"]).to_pylist())
        raise BadInput(
            f"the truth knows no class of run {run} ({_some(classes)}); it has {_some(theirs)}",
            f"say what is called what: --map {quote(details['classes'][0] + '=' + theirs[0])}",
        )
    given = np.isin(sort_key(every.ids), sort_key(exemplar_ids(details)))
    rows = every.where(~given)
    if len(rows.ids) == 0:
        raise BadInput(
            f"no image has a truth to compare run {run} with (exemplars do not count)",
            "name a file: --truth labels.csv, or keep it: engine ingest SOURCE --labels FILE --labels-role truth",
        )
    found = scored(store, details, rows.ids, rows.answer, rows.scores)
    codes = range(len(details["classes"]))
    rocs = [roc(ranking.astype(np.float64), rows.truth == code) for code, ranking in enumerate(found.each())]
    return Evaluation(
        run,
        details,
        tuple(classes),
        report(rows.truth, rows.answer, classes=len(codes)),
        len(rows.ids),
        int(np.count_nonzero(given)),
        conflicting,
        int(np.count_nonzero(rows.truth < 0)),
        int(np.count_nonzero(~np.isin(sort_key(id_array(written["id"])), sort_key(every.ids)))),
        [curve if found.complete else _seen(curve) for curve in rocs],
        np.array([curve.area if found.complete else np.nan for curve in rocs]),
        [_seen(precision_coverage(found.answered(code), rows.truth == code)) for code in codes],
        _seen(precision_coverage(found.scores, found.best == rows.truth)),
        found.complete,
        found.note,
    )


def newest_run(store: Store) -> str:
    """Return the newest label run; raise `BadInput` if there is none."""
    known = labels.label_runs(store)
    if not known:
        raise BadInput("there is no label run", "make one: engine label --exemplar CLASS=IMAGE --threshold 0.75")
    newest: str = known[-1]["run"]
    return newest


def _renamed(run: str, classes: list[str], names: Mapping[str, str]) -> list[str]:
    """Return what the truth calls the classes of a run; raise `BadInput` for names of others, or one for two."""
    if unknown := sorted(names.keys() - set(classes)):
        raise BadInput(f"run {run} has no class {unknown[0]!r}; it has {_some(classes)}", "--map CLASS=TRUTH")
    renamed = [names.get(name, name) for name in classes]
    if twice := [name for name in renamed if renamed.count(name) > 1]:
        raise BadInput(
            f"two classes of run {run} would be {twice[0]!r}", "give each a name of its own: --map CLASS=TRUTH"
        )
    return renamed


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _details(store: Store, run: str) -> dict[str, Any]:
    rows = store.runs.rows(["details"], f"run = {literal(run)} AND event = 'start'")
    details: dict[str, Any] = json.loads(rows[0]["details"])
    return details


def _joined(known: pa.Table, written: pa.Table, classes: list[str], renamed: list[str]) -> _Rows:
    """Return the images with a truth, which calls the classes as `renamed` does, and what the run wrote of them."""
    ids, truth = id_array(known["id"]), _codes(known["label"], renamed)
    answer, scores = np.full(len(ids), -1, np.int32), np.full(len(ids), -np.inf)
    said = _codes(written["label"], classes)
    # Both in the order of ids; a class of its own for the rest is an answer of none.
    keys, theirs = sort_key(ids), sort_key(id_array(written["id"]))
    places = np.searchsorted(keys, theirs)
    counts = (said >= 0) & (places < len(keys))
    counts[counts] = keys[places[counts]] == theirs[counts]
    answer[places[counts]] = said[counts]
    scores[places[counts]] = pc.fill_null(written["score"], -np.inf).to_numpy(zero_copy_only=False)[counts]
    return _Rows(ids, truth, answer, scores)


def _codes(column: pa.ChunkedArray, classes: list[str]) -> NDArray[np.int32]:
    """Return the place of each label among `classes`, −1 for others."""
    found = pc.fill_null(pc.index_in(column, value_set=pa.array(classes, pa.string())), -1)
    return found.to_numpy(zero_copy_only=False).astype(np.int32)


def _seen(curve: Curve) -> Curve:
    """Return a curve without the point for what is answered at no threshold."""
    keep = curve.thresholds > -np.inf
    return Curve(curve.x[keep], curve.y[keep], curve.thresholds[keep])
