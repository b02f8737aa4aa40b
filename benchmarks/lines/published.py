"""Published values, from published.json: each with its source, split, and what sets it apart from ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("published.json")


@cache
def published() -> list[dict[str, Any]]:
    """Return every published value: dataset, method, split, values, source, remark; `beside` says which row of ours."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text())
    return found


def of_dataset(dataset: str, suite: str) -> list[dict[str, Any]]:
    """Return those of a data set that a suite has figures of its own for."""
    return [one for one in published() if one["dataset"] == dataset and one["suite"] == suite]


def beside(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was published of the same data set, space and method as a row: value, source, split and remark."""
    for one in of_dataset(row["dataset"], row["suite"]):
        if one["beside"] is not None and all(row.get(name) == value for name, value in one["beside"].items()):
            return {"value": one["values"], **{name: one[name] for name in ("method", "source", "split", "remark")}}
    return None
