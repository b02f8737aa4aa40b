"""The result lines that the project keeps, in benchmarks/results: what tables in the documents are made from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.datasets.base import OWN_STORE, OWN_VECTORS
from benchmarks.lines.results import RESULTS, Row, read, write
from benchmarks.protocol import protocol

KEPT = Path(__file__).parents[1] / "results"
# More digits than any table shows, fewer than a float has; seconds of a query are small.
DIGITS, SMALL = 6, 1e-3
# Suites whose figures of a method belong together: a method is measured at all its settings, or not at all.
TOGETHER = ("search", "bars", "soak", "clusters", "ingest", "memory", "start")


def kept(suite: str) -> list[Row]:
    """Return the result lines of a suite that the project keeps."""
    return list(read(KEPT / f"{suite}.jsonl"))


def take_over(suite: str, measured: Path) -> int:
    """Put the lines of a full run into what is kept, in place of those that say the same; return how many came."""
    new = [_short(one) for one in read(measured / suite / RESULTS) if _counts(one, suite)]
    old = [one for one in kept(suite) if _counts(one, suite)]
    rows = _together(old, new) if suite in TOGETHER else _each(old, new)
    if not rows:
        return 0
    KEPT.mkdir(exist_ok=True)
    write(KEPT / f"{suite}.jsonl", sorted(rows, key=_cell))
    return len(new)


def _each(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Return the newest line of each cell; what was not available goes where there is something."""
    rows = {_cell(one): one for one in [*old, *new]}.values()
    had = {(one["dataset"], one["space"]) for one in rows if one["available"]}
    return [one for one in rows if one["available"] or (one["dataset"], one["space"]) not in had]


def _together(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Return, of each data set and method, all lines of the run that measured it last."""
    rows = [*old, *new]
    last = {(one["dataset"], one["method"]): one["key"] for one in rows}
    rows = [one for one in rows if one["key"] == last[one["dataset"], one["method"]]]
    # A job that was measured anew has its lines twice; a data set that was not there has a line without a method.
    found = {_cell(one): one for one in rows}.values()
    had = {one["dataset"] for one in found if one["available"]}
    return [one for one in found if one["available"] or one["method"] != "none" or one["dataset"] not in had]


def _counts(one: Row, suite: str) -> bool:
    own = one["dataset"].startswith((OWN_STORE, OWN_VECTORS))
    return not own and not one["quick"] and one["protocol"] == protocol(suite)


def _cell(one: Row) -> str:
    same = [one[name] for name in ("dataset", "split", "space", "method", "params", "seed")]
    return json.dumps(same, sort_keys=True)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS) if abs(value) >= SMALL else float(f"{value:.4g}")
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value
