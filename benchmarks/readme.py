"""The README's tables, from the result lines that are kept in benchmarks/results: no figure in them is typed by hand.

`python -m benchmarks.readme [DIR]` takes over what was measured into DIR (of full runs, by today's protocols), then
writes every table between `<!-- bench: NAME -->` and `<!-- /bench -->` anew.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.protocol import protocol
from benchmarks.published import of_dataset
from benchmarks.report import NONE, TITLES, figure, table_lines
from benchmarks.results import Row, read, write
from benchmarks.summary import ONE_RUN, Summary, number, remarks, summaries

README = Path(__file__).parents[1] / "README.md"
KEPT = Path(__file__).with_name("results")
BLOCK = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
DATASETS = ("caltech101", "cifar10", "fashion-mnist")
# Seeds of a full run.
SEEDS = 3
# More digits than any table shows, fewer than a float has.
DIGITS = 6


def kept(suite: str) -> list[Row]:
    """Return the result lines of a suite that the project keeps."""
    return list(read(KEPT / f"{suite}.jsonl"))


def take_over(suite: str, measured: Path) -> int:
    """Put the lines of a full run into what is kept, in place of those that say the same; return how many came."""
    new = [_short(one) for one in read(measured / suite / "results.jsonl") if _counts(one, suite)]
    rows = {_cell(one): one for one in [*(one for one in kept(suite) if _counts(one, suite)), *new]}
    had = {(one["dataset"], one["space"]) for one in rows.values() if one["available"]}
    rows = {cell: one for cell, one in rows.items() if one["available"] or (one["dataset"], one["space"]) not in had}
    if not rows:
        return 0
    KEPT.mkdir(exist_ok=True)
    write(KEPT / f"{suite}.jsonl", sorted(rows.values(), key=_cell))
    return len(new)


def _counts(one: Row, suite: str) -> bool:
    return not one["quick"] and one["protocol"] == protocol(suite)


def _cell(one: Row) -> str:
    same = [one[name] for name in ("dataset", "split", "space", "method", "params", "seed", "part")]
    return json.dumps(same, sort_keys=True)


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value


def rewritten(readme: str, rows: Callable[[str], Sequence[Row]] = kept) -> str:
    """Return the README with every table made from the lines of its suite."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{table(found[2], rows(found[2]))}{found[3]}"

    return BLOCK.sub(block, readme)


def table(suite: str, rows: Sequence[Row]) -> str:
    """Return the table of a suite, with its sources below it; without lines, how to get them."""
    if not any(one["available"] for one in rows):
        return "No result lines are kept yet: run `make bench`.\n"
    return "\n".join(TABLES[suite](rows)) + "\n"


def _quality(suite: str, metrics: Sequence[str], *, method: bool) -> Callable[[Sequence[Row]], Iterator[str]]:
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


TABLES: Mapping[str, Callable[[Sequence[Row]], Iterator[str]]] = {
    "representations": _quality("representations", ("nmi", "ari", "ri", "accuracy"), method=False),
    "clustering": _quality("clustering", ("nmi", "ari", "accuracy", "clusters", "noise"), method=True),
    "autoencoder": _quality("autoencoder", ("nmi", "ari", "ri", "accuracy", "mse"), method=False),
    "retrieval": _quality("retrieval", ("map", "p_at_1", "p_at_10", "r_at_100"), method=False),
}


if __name__ == "__main__":
    for given in sys.argv[1:]:
        for suite in TABLES:
            print(f"{suite}: {take_over(suite, Path(given))} lines from {given}")
    README.write_text(rewritten(README.read_text()))
