"""Tables of how good something is, from result lines: ours, chance, published values with their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.lines.published import of_dataset
from benchmarks.lines.results import Row
from benchmarks.lines.summary import ONE_RUN, Summary, number, remarks, summaries
from benchmarks.reports.report import NONE, TITLES, figure, table_lines

DATASETS = ("caltech101", "cifar10", "fashion-mnist")
# Seeds of a full run.
SEEDS = 3


def quality(suite: str, metrics: Sequence[str], *, method: bool) -> Callable[[Sequence[Row]], Iterator[str]]:
    """Return what makes a table with a line for each data set and space, or method, and the published ones."""

    def label(one: Summary) -> str:
        return _label(one) if method else str(one.of["space"])

    def lines(rows: Sequence[Row]) -> Iterator[str]:
        # What a suite measures besides, such as the cost of an epoch, has none of these figures.
        found = [one for one in summaries(rows, metrics) if one.metrics]
        head = ("data set", "method" if method else "space", *(TITLES[one] for one in metrics), "chance")
        body: list[Sequence[str]] = []
        sources: list[str] = []
        for name in [one for one in DATASETS if any(one == some.of["dataset"] for some in found)]:
            own = [one for one in found if one.of["dataset"] == name]
            # The best first.
            for one in sorted(own, key=lambda one: -one.metrics[metrics[0]].mean):
                body += _own(one, metrics, label(one))
            for printed in of_dataset(name, suite):
                mark = f"[{len(sources) + 1}]"
                sources.append(f"{mark} {printed['source']}, {printed['split']} split" + _remark(printed))
                body.append((name, f"{printed['method']} {mark}", *_cells(printed["values"], metrics), ""))
        yield from table_lines(head, body)
        yield from ("", " ".join([*_facts(found), *_told(found, label)]))
        if sources:
            yield f"\nPublished: {'; '.join(sources)}."

    return lines


def _label(one: Summary) -> str:
    reduced = one.of["params"].get("reduce")
    return one.of["method"] + (f" after {reduced}" if reduced else "")


def _own(one: Summary, metrics: Sequence[str], label: str) -> Iterator[Sequence[str]]:
    name = one.of["dataset"]
    chance = " / ".join(number(one.chance[metric].mean) if metric in one.chance else NONE for metric in metrics)
    yield (name, label, *(figure(one.metrics, metric) for metric in metrics), chance)
    if one.distinct:
        cells = [figure(one.distinct, metric) for metric in metrics]
        yield (name, f"{label}, without near duplicates", *cells, "")


def _cells(values: Mapping[str, float], metrics: Sequence[str]) -> list[str]:
    return [number(values[metric]) if metric in values else NONE for metric in metrics]


def _remark(one: Mapping[str, Any]) -> str:
    return f" ({one['remark']})" if one["remark"] else ""


def _facts(found: Sequence[Summary]) -> Iterator[str]:
    """Yield what the figures are of: how many images, which pixels, how many near duplicates."""
    told = []
    for name in [one for one in DATASETS if any(one == some.of["dataset"] for some in found)]:
        of = next(some.of for some in found if some.of["dataset"] == name)
        split = "all" if of["split"] == "all" else f"{of['split']} split of"
        leaked = of["leakage"]
        near = f", {leaked['near_duplicates']:,} of them near duplicates of training images" if leaked else ""
        seeds = {some.seeds for some in found if some.of["dataset"] == name and not some.deterministic} - {SEEDS}
        few = f", {' or '.join(map(str, sorted(seeds)))} of {SEEDS} seeds" if seeds else ""
        told.append(f"{name}: {split} {of['images']:,} images, pixels {of['pixels']}{near}{few}")
    yield f"{'; '.join(told)}."


def _told(found: Sequence[Summary], label: Callable[[Summary], str]) -> Iterator[str]:
    """Yield which figures are of one run, and what lines say of themselves."""
    if once := dict.fromkeys(label(one) for one in found if one.deterministic):
        yield f"{', '.join(once)}: {ONE_RUN}."
    yield from remarks(found, label)
