"""Summaries as tables: ours, chance, published values with their sources, and what could not be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.lines.published import of_dataset
from benchmarks.lines.results import Row
from benchmarks.lines.summary import Spread, Summary, number, remarks, summaries

TITLES = {
    "nmi": "NMI", "ari": "ARI", "ri": "RI", "accuracy": "ACC", "purity": "purity", "silhouette": "silhouette",
    "clusters": "clusters", "noise": "noise", "map": "mAP", "p_at_1": "P@1", "p_at_10": "P@10", "r_at_100": "R@100",
    "mse": "MSE", "head_accuracy": "head's ACC", "ratio": "epoch ÷ bare pass", "images_per_second": "images/s",
}  # fmt: skip
COUNTS = ("clusters",)
ERRORS = ("mse",)
NONE = "–"


@dataclass(frozen=True)
class Table:
    """A table under a title, and the remarks below it."""

    title: str
    head: Sequence[str]
    body: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())


def tables(rows: Sequence[Row], suite: str, metrics: Sequence[str]) -> list[Table]:
    """Return a table for each data set that something was measured on, and one of what was not available."""
    found = summaries(rows, metrics)
    datasets = list(dict.fromkeys((one.of["dataset"], one.of["split"]) for one in found))
    made = [_table(name, split, _of(found, name, split), suite, metrics) for name, split in datasets]
    absent = [one for one in rows if not one["available"]]
    return [*made, _absent(absent)] if absent else made


def _absent(rows: Sequence[Row]) -> Table:
    """Return what could not be had, with what to do, each reason once."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in rows:
        told.setdefault((one["space"] or NONE, one["note"] or ""), []).append(one["dataset"])
    body = [(", ".join(dict.fromkeys(names)), space, note) for (space, note), names in told.items()]
    return Table("Not available", ("data set", "space", "what to do"), body)


def _of(found: Sequence[Summary], name: str, split: str | None) -> list[Summary]:
    return [one for one in found if (one.of["dataset"], one.of["split"]) == (name, split)]


def _table(name: str, split: str | None, found: Sequence[Summary], suite: str, metrics: Sequence[str]) -> Table:
    shown = [metric for metric in metrics if any(metric in one.metrics for one in found)]
    head = ("space", "method", *(TITLES.get(metric, metric) for metric in shown), "chance", "seeds", "seconds")
    body = [line for one in found for line in _lines(one, shown)]
    printed = [one for one in of_dataset(name, suite) if any(metric in one["values"] for metric in shown)]
    for mark, one in enumerate(printed, 1):
        cells = [_published(one["values"], metric) for metric in shown]
        body.append(("published", f"{one['method']} [{mark}]", *cells, NONE, NONE, NONE))
    notes = [*_notes(found), *(_source(mark, one) for mark, one in enumerate(printed, 1))]
    return Table(_title(name, split, found[0].of), head, body, notes)


def _title(name: str, split: str | None, of: Row) -> str:
    parts = [f"{split} split" if split not in (None, "all") else "all images"]
    parts += [f"{of['images']:,} images"] if of["images"] else []
    parts += [f"pixels {of['pixels']}"] if of["pixels"] else []
    return f"{name}: {', '.join(parts)}"


def _lines(one: Summary, metrics: Sequence[str]) -> Iterator[Sequence[str]]:
    cells = [figure(one.metrics, metric) for metric in metrics]
    chance = " / ".join(number(one.chance[metric].mean) if metric in one.chance else NONE for metric in metrics)
    yield (one.of["space"] or NONE, _method(one.of), *cells, chance, one.runs, f"{one.seconds:.1f}")
    if one.distinct:
        cells = [figure(one.distinct, metric) for metric in metrics]
        yield (one.of["space"] or NONE, f"{_method(one.of)}, without near duplicates", *cells, NONE, NONE, NONE)


def _method(of: Row) -> str:
    told = [f"{name} {value}" for name, value in of["params"].items() if name not in ("queries", "database")]
    return ", ".join([of["method"], *told])


def figure(found: Mapping[str, Spread], metric: str) -> str:
    """Return a figure as a cell; counts have no digits behind the point, small errors have more."""
    if metric not in found:
        return NONE
    if metric in ERRORS:
        one = found[metric]
        return f"{one.mean:.5f}" + ("" if one.sd is None else f" ± {one.sd:.5f}")
    return f"{found[metric].mean:.0f}" if metric in COUNTS else str(found[metric])


def _published(values: Mapping[str, float], metric: str) -> str:
    return number(values[metric]) if metric in values else NONE


def _notes(found: Sequence[Summary]) -> Iterator[str]:
    leaked = next((one.of["leakage"] for one in found if one.of["leakage"]), None)
    if leaked:
        yield (
            f"{leaked['near_duplicates']:,} of {leaked['images']:,} images are near duplicates of a training image "
            f"(by the rule in docs/protocols.md), {leaked['identical']} of them byte for byte."
        )
    yield from remarks(found, lambda one: " / ".join(filter(None, [one.of["space"], one.of["method"]])))


def _source(mark: int, one: Mapping[str, Any]) -> str:
    return f"[{mark}] {one['split']} split. {one['source']}." + (
        f" {one['remark'].capitalize()}." if one["remark"] else ""
    )


def markdown(made: Sequence[Table], heading: str, intro: str = "") -> str:
    """Return the tables as a Markdown document."""
    parts = [f"# {heading}\n"] + ([f"{intro}\n"] if intro else [])
    for one in made:
        parts += [f"## {one.title}\n", *table_lines(one.head, one.body), ""]
        parts += [f"{note}\n" for note in one.notes]
    return "\n".join(parts)


def table_lines(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of Markdown."""
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *body)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
