"""Tables of what the machine allows and what is reached, from result lines: bars, growth, clusters at scale, ingest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.lines.results import Row
from benchmarks.machine import told
from benchmarks.reports.report import NONE, table_lines

MIB, GIB = 2**20, 2**30
# What the ratio of a bar is of.
BARS = {
    "flat, one query": "flat, one query ÷ the fastest of matrix-vector product, dot product and maximum over the same "
    "buffer",
    "flat, batch of 256": "matrix product ÷ flat, batch of 256",
    "whole search": "the whole warm `search(id=…)` with names and metadata ÷ the bare FAISS call",
    "best approximate index": "flat ÷ the fastest index at a measured recall@10 of 0.99",
}
STEPS = ("graph", "kmeans", "leiden", "spectral")


def bars(rows: Sequence[Row]) -> Iterator[str]:
    """Yield each ratio of the largest collection beside what it has to be, and whether it is."""
    found = _largest(rows)
    known = [one for name in BARS for one in found if one["method"] == name]
    builds = [one for one in found if one["method"] not in BARS]
    yield from table_lines(("", "ratio", "wanted", "met"), [_bar(one) for one in [*known, *builds]])
    yield from ("", f"{_size(found)}, one thread, in turns; {told(found)}.")


def _bar(one: Row) -> Sequence[str]:
    of = BARS.get(one["method"], f"{one['method']}: its own memory beyond the index ÷ the vectors")
    name = of + (f" ({one['note']})" if one["note"] and one["available"] else "")
    if not one["available"]:
        return (name, one["note"] or "not measured", NONE, NONE)
    values = one["metrics"]
    wanted = f"≤ {values['at_most']:g}" if "at_most" in values else f"≥ {values['at_least']:g}"
    return (name, f"{values['ratio']:.2f}", wanted, _yes(values["met"]))


def soak(rows: Sequence[Row]) -> Iterator[str]:
    """Yield peak memory and seconds of each command by size, and by what they grow from the last size but one."""
    sizes = sorted({one["params"]["rows"] for one in rows})
    cells = {(one["method"], one["params"]["rows"]): one for one in rows}
    # A run's lines are numbered in the order in which the commands ran.
    names = dict.fromkeys(one["method"] for one in sorted(rows, key=lambda one: one["part"][0]))
    body = [
        [f"`{name}`", *(_taken(cells.get((name, size))) for size in sizes), _growth(cells, name, sizes)]
        for name in names
    ]
    yield from table_lines(("command", *(f"{size:,}" for size in sizes), "memory and time grow"), body)
    yield from ("", f"Peak anonymous memory of a command · its processor seconds; 32-d vectors; {told(rows)}.")


def _taken(one: Row | None) -> str:
    if one is None:
        return "not measured"
    if not one["available"]:
        return one["note"] or NONE
    return f"{one['peak_bytes'] / MIB:,.0f} MiB · {_seconds(one['metrics']['processor_seconds'])}"


def _growth(cells: Mapping[tuple[str, int], Row], name: str, sizes: Sequence[int]) -> str:
    last = [cells.get((name, size)) for size in sizes[-2:]]
    few, many = last if len(last) == 2 else (None, None)
    if few is None or many is None or not (few["available"] and many["available"]):
        return NONE
    memory = many["peak_bytes"] / few["peak_bytes"]
    time = many["metrics"]["processor_seconds"] / few["metrics"]["processor_seconds"]
    return f"{memory:.1f} × and {time:.1f} × for {sizes[-1] / sizes[-2]:g} × the rows"


def clusters(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each method takes of the largest collection, and k-means beside products and full iterations."""
    found = _largest(rows)
    there = {one["method"]: one for one in found}
    yield from table_lines(
        ("", "clusters", "seconds", "peak memory", "wanted", "met"),
        [_step(there[name]) for name in STEPS if name in there],
    )
    yield from ("", f"{_size(found)}; each in a process of its own, anonymous memory; {told(found)}.")
    values = there["kmeans"]["metrics"] if "kmeans" in there else {}
    if "inertia_ratio" in values:
        yield (
            f"kmeans takes {values['products']:.1f} × the processor time of one product of all rows with the centres, "
            f"and reaches {values['inertia_ratio']:.3f} × the inertia of "
            f"{there['kmeans']['params']['full_iterations']} full iterations, which take "
            f"{values['full_products']:.1f} products."
        )


def _step(one: Row) -> Sequence[str]:
    if not one["available"]:
        return (one["method"], one["note"] or "not measured", NONE, NONE, NONE, NONE)
    values: Mapping[str, Any] = one["metrics"]
    number = f"{values['clusters']:,}" if "clusters" in values else NONE
    peak, bar = (f"{size / GIB:.1f} GiB" for size in (one["peak_bytes"], values["at_most_bytes"]))
    return (one["method"], number, _seconds(one["seconds"]), peak, f"< {bar}", _yes(values["met"]))


def ingest(rows: Sequence[Row]) -> Iterator[str]:
    """Yield images a second of an ingest beside model and decoder alone, and what ingesting again takes."""
    found = [one for one in rows if one["available"]]
    beside = sorted((one for one in found if "ratio_to_bound" in one["metrics"]), key=_precision, reverse=True)
    yield from table_lines(
        ("", "`engine ingest`", "the model alone", "the decoder alone", "both on all cores", "time ÷ that of both"),
        [_beside(one) for one in beside],
    )
    yield from ("", f"Images a second, of a whole process, its start included; {told(found)}.")
    for one in found:
        if "again_seconds" in one["metrics"]:
            values = one["metrics"]
            yield (
                f"{_photos(one)}: {values['first_images_per_second']:.0f} images/s, the first use of the network "
                f"included; again in {values['again_seconds']:.2f} s, {values['again_is_faster_by']:.0f} × faster."
            )


def _precision(one: Row) -> str:
    return str(one["params"]["precision"])


def _beside(one: Row) -> Sequence[str]:
    speeds = ("ingest", "bare_model", "bare_decoder", "bound")
    cells = (f"{one['metrics'][f'{name}_images_per_second']:,.0f}" for name in speeds)
    return (f"{_photos(one)}, {one['params']['precision']}", *cells, f"{one['metrics']['ratio_to_bound']:.2f}")


def _photos(one: Row) -> str:
    return f"{one['dataset']}, {one['images']:,} images ({one['pixels']})"


def memory(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the peak of an ingest of few and of many images."""
    for one in rows:
        if one["available"]:
            values = one["metrics"]
            peaks = zip(values["peak_mib"], values["sizes"], strict=True)
            told_peaks = " and ".join(f"{peak:,} MiB for {size:,} images" for peak, size in peaks)
            yield f"{one['dataset']}: at most {told_peaks}, {values['ratio']:.2f} × as much; {told([one])}."


def start(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the seconds of a search in a fresh process, and of one that does nothing."""
    for one in rows:
        if one["available"]:
            size, values = one["params"], one["metrics"]
            yield (
                f"`engine search --id` in a fresh process over {size['rows']:,} × {size['dim']}: "
                f"{values['search_seconds']['median']:.2f} s, median of {size['runs']} "
                f"(a Python that does nothing: {values['python_seconds']:.2f} s); {told([one])}."
            )


def _largest(rows: Sequence[Row]) -> list[Row]:
    most = max(one["params"]["rows"] for one in rows if one["available"])
    return [one for one in rows if one["params"].get("rows") == most]


def _size(rows: Sequence[Row]) -> str:
    return f"{rows[0]['params']['rows']:,} × {rows[0]['params']['dim']}"


def _seconds(taken: float) -> str:
    return f"{taken:,.1f} s" if taken < 100 else f"{taken:,.0f} s"


def _yes(met: bool) -> str:
    return "yes" if met else "no"
