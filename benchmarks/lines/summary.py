"""Result lines → means and standard deviations over the seeds. Nothing else is known here than the lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from benchmarks.lines.results import Row

# What seeds have in common.
SAME = ("dataset", "data", "pixels", "split", "images", "space", "fingerprint", "method", "protocol", "quick")

ONE_RUN = "deterministic, 1 run"


@dataclass(frozen=True)
class Spread:
    """The mean of a figure over so many seeds, and their sample standard deviation, None for one."""

    mean: float
    sd: float | None
    seeds: int

    def __str__(self) -> str:
        return number(self.mean) + ("" if self.sd is None else f" ± {number(self.sd)}")


@dataclass(frozen=True)
class Summary:
    """What was measured of one data set, space and method: `of` its first line, `metrics` over the seeds.

    `distinct` are the same figures without the images that are near duplicates of training images; empty where no such
    image is known.
    """

    of: Row
    metrics: dict[str, Spread]
    chance: dict[str, Spread]
    distinct: dict[str, Spread]
    seconds: float
    peak_bytes: int | None
    seeds: int

    @property
    def deterministic(self) -> bool:
        """Say whether nothing was drawn, so that more runs would say no more."""
        return self.of["seed"] is None

    @property
    def runs(self) -> str:
        """Return over how many seeds the figures are."""
        return ONE_RUN if self.deterministic else str(self.seeds)


def summaries(rows: Sequence[Row], metrics: Sequence[str]) -> list[Summary]:
    """Return a summary for each group of lines that differ in their seed alone, in the order of their first line."""
    groups: dict[str, list[Row]] = {}
    for one in rows:
        if one["available"]:
            same = [one.get(name) for name in SAME]
            groups.setdefault(json.dumps([same, one["params"]], sort_keys=True), []).append(one)
    return [_summary(group, metrics) for group in groups.values()]


def _summary(rows: Sequence[Row], metrics: Sequence[str]) -> Summary:
    near = any((one["leakage"] or {}).get("near_duplicates") for one in rows)
    peaks = [one["peak_bytes"] for one in rows if one["peak_bytes"] is not None]
    return Summary(
        rows[0],
        _spreads([one["metrics"] for one in rows], metrics),
        _spreads([one["chance"] or {} for one in rows], metrics),
        _spreads([one["leakage"]["metrics"] for one in rows], metrics) if near else {},
        fmean(one["seconds"] for one in rows),
        max(peaks, default=None),
        len(rows),
    )


def remarks(found: Sequence[Summary], label: Callable[[Summary], str]) -> Iterator[str]:
    """Yield what lines say of themselves, each once, behind the labels of those that say it."""
    told: dict[str, list[str]] = {}
    for one in found:
        if one.of["note"]:
            told.setdefault(one.of["note"], []).append(label(one))
    for note, labels in told.items():
        yield f"{', '.join(dict.fromkeys(labels))}: {note}."


def _spreads(found: Sequence[dict[str, Any]], metrics: Sequence[str]) -> dict[str, Spread]:
    values = {name: [one[name] for one in found if one.get(name) is not None] for name in metrics}
    return {
        name: Spread(fmean(some), stdev(some) if len(some) > 1 else None, len(some))
        for name, some in values.items()
        if some
    }


def number(value: float) -> str:
    """Return a figure with three digits behind the point."""
    return f"{value:.3f}"
