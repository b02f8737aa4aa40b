"""Runs of labels: which of them count. Whatever was decided is a row of its own and can be decided anew."""

from __future__ import annotations

import json
from dataclasses import dataclass

from engine.compact import compact_if_piled_up
from engine.errors import BadInput
from engine.labeling.exemplars import EXEMPLAR
from engine.labeling.labels import decisions, label_run, label_runs
from engine.labeling.precedence import ACCEPT, REVERT
from engine.store import Store
from engine.store.table import literal

# The commands by which a person labels: what they wrote counts without a word, until it is reverted.
EDITS = ("labels set", "labels unset", "labels import", "cluster name")


@dataclass(frozen=True)
class Decided:
    """What is decided of the run `labels`. `run` recorded it, None if it was so before; `others` are accepted too."""

    run: str | None
    labels: str
    state: str
    others: list[str]


def accept(store: Store, run: str) -> Decided:
    """Let the labels of a run count from now on, before those of the runs that were accepted earlier.

    Raises `BadInput` for a run that did not label.
    """
    return _decide(store, run, ACCEPT, "accepted")


def revert(store: Store, run: str) -> Decided:
    """Let what a run wrote count no more: a labeler's labels, or what a person set, took back, imported or
    called a cluster.

    What it covered counts again; exemplars that a label run remembered stay. Raises `BadInput` for another run.
    """
    return _decide(store, run, REVERT, "reverted")


def _decide(store: Store, run: str, command: str, state: str) -> Decided:
    _require_no_decision(store, run)
    before = "accepted" if _is_edit(store, run) else label_run(store, run)["state"]
    made = None
    with store.lock():
        if decisions(store).get(run, before) != state:
            with store.run(command, {"run": run}) as made:
                made.result["run"] = run
    others = [one["run"] for one in label_runs(store) if one["state"] == "accepted" and one["run"] != run]
    compact_if_piled_up(store)
    return Decided(made.name if made else None, run, state, others)


def _require_no_decision(store: Store, run: str) -> None:
    """Raise `BadInput` for a run that decided on another, or remembered exemplars: it is taken back otherwise."""
    rows = store.runs.rows(["command", "details"], f"run = {literal(run)} AND event = 'start'")
    if rows and rows[0]["command"] in (ACCEPT, REVERT):
        other = json.loads(rows[0]["details"])["run"]
        raise BadInput(
            f"{run} is no run that labelled: it decided on {other}",
            f"decide anew: engine labels accept {other}, or revert",
        )
    if rows and rows[0]["command"] == "cluster":
        raise BadInput(
            f"{run} is a run of clusters: they are no labels", "make some: engine cluster name CLUSTER LABEL"
        )
    if rows and rows[0]["command"] == EXEMPLAR:
        raise BadInput(f"{run} remembered exemplars", "take them back one by one: engine labels unset IMAGE")


def _is_edit(store: Store, run: str) -> bool:
    """Say whether a person labelled in this run, and it came to its end."""
    rows = store.runs.rows(["event", "details"], f"run = {literal(run)} AND command IN {EDITS!r}")
    return any(row["event"] == "end" and "error" not in json.loads(row["details"]) for row in rows)
