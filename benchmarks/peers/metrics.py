"""Raw lines → what is compared. Nothing is measured here, so it can be done again at any time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort

# Two rows that score alike this closely are as good as each other: a copy of a neighbour is a neighbour.
TIE = 1e-6


@dataclass(frozen=True)
class Result:
    """One competitor at one effort, or one that is `missing`. Latency in seconds, of single queries with k = 10."""

    competitor: str
    params: dict[str, Any] = field(default_factory=dict)
    effort: Effort = None
    recall_at_10: float = 0.0
    recall_at_100: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    queries_per_second: float = 0.0
    build_seconds: float = 0.0
    build_peak_bytes: int = 0
    size_bytes: int = 0
    missing: str | None = None


@dataclass(frozen=True)
class Race:
    """What a raw file holds: `run` says what was measured and where."""

    run: dict[str, Any]
    results: list[Result]


def measured(lines: Iterable[dict[str, Any]]) -> Race:
    """Return the results of raw lines, in the order of the builds, least effort first."""
    run: dict[str, Any] = {}
    truth: dict[int, dict[str, Any]] = {}
    builds: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    blocks: dict[tuple[str, Effort], list[dict[str, Any]]] = {}
    for line in lines:
        if line["kind"] == "run":
            run = line
        elif line["kind"] == "truth":
            truth[line["query"]] = line
        elif line["kind"] == "build":
            builds[line["competitor"]] = line
        elif line["kind"] == "missing":
            missing[line["competitor"]] = line["reason"]
        else:
            blocks.setdefault((line["competitor"], line["effort"]), []).append(line)
    results = [
        _result(build, effort, blocks[name, effort], truth)
        for name, build in builds.items()
        if name not in missing
        for effort in build["efforts"]
    ]
    return Race(run, results + [Result(name, missing=reason) for name, reason in missing.items()])


def recall(found: Sequence[int], exact: dict[str, Any], k: int) -> float:
    """Return which share of the k best rows was found; `exact` holds more than k `ids` with `scores`, best first.

    A row that ties with the k-th counts as well as that one.
    """
    scores = np.asarray(exact["scores"])
    k = min(k, len(scores))
    good = {row for row, score in zip(exact["ids"], scores, strict=True) if score >= scores[k - 1] - TIE}
    return min(k, len(good.intersection(found[:k]))) / k


def front(results: Iterable[Result]) -> list[Result]:
    """Return those that nothing beats in both recall@10 and median latency, least recall first."""
    best: list[Result] = []
    for one in sorted(results, key=lambda one: (-one.recall_at_10, one.p50)):
        if not best or one.p50 < best[-1].p50:
            best.append(one)
    return best[::-1]


def cheapest(results: Iterable[Result], target: float) -> Result | None:
    """Return the fastest that reaches `target` recall@10, or None."""
    return min((one for one in results if one.recall_at_10 >= target), key=lambda one: one.p50, default=None)


def _result(
    build: dict[str, Any], effort: Effort, blocks: Sequence[dict[str, Any]], truth: dict[int, dict[str, Any]]
) -> Result:
    single = [block for block in blocks if block["mode"] == "single"]
    batch = [block for block in blocks if block["mode"] == "batch" and block["k"] == 10]
    deep = [block for block in blocks if block["k"] == 100]
    seconds = np.concatenate([block["seconds"] for block in single])
    return Result(
        build["competitor"],
        build["params"],
        effort,
        _mean_recall(single, truth),
        _mean_recall(deep, truth),
        float(np.quantile(seconds, 0.5)),
        float(np.quantile(seconds, 0.95)),
        sum(len(block["ids"]) for block in batch) / sum(sum(block["seconds"]) for block in batch),
        build["seconds"],
        build["peak_bytes"],
        build["size_bytes"],
    )


def _mean_recall(blocks: Sequence[dict[str, Any]], truth: dict[int, dict[str, Any]]) -> float:
    each = [
        recall(found, truth[block["first"] + place], block["k"])
        for block in blocks
        for place, found in enumerate(block["ids"])
    ]
    return float(np.mean(each))
