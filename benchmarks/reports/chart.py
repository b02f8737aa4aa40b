"""Summaries as a picture: a panel a data set, a line a space and method, published values as hollow marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.lines.published import of_dataset
from benchmarks.lines.summary import Summary
from benchmarks.reports.report import TITLES
from engine.pictures import png
from engine.pictures.chart import COLOURS, QUIET, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINE, MARGIN, WIDTH = 0.32, 1.1, 8.2
# Two metrics of one thing lie on one line, above and below its middle.
SHIFT = 0.12


def chart(found: Sequence[Summary], suite: str, metrics: Sequence[str], path: Path) -> None:
    """Write means with their standard deviations, chance as a tick, and published values, as PNG."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(one.of["dataset"] for one in found))
    lines = {name: _lines(found, name, suite, metrics) for name in names}
    heights = [LINE * len(one) + MARGIN for one in lines.values()]
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    grid = figure.subplots(len(names), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, name in zip(grid[:, 0], names, strict=True):
        _panel(axes, name, lines[name], metrics)
    png.save(path, lambda scratch: figure.savefig(scratch, dpi=110))


Line = tuple[str, dict[str, tuple[float, float]], dict[str, float], bool]


def _lines(found: Sequence[Summary], name: str, suite: str, metrics: Sequence[str]) -> list[Line]:
    """Return (label, mean and deviation by metric, chance by metric, whether it is published), the best last."""
    ours: list[Line] = [
        (
            ", ".join(filter(None, [one.of["space"], one.of["method"], one.of["params"].get("reduce")])),
            {metric: (value.mean, value.sd or 0.0) for metric, value in one.metrics.items() if metric in metrics},
            {metric: value.mean for metric, value in one.chance.items() if metric in metrics},
            False,
        )
        for one in found
        if one.of["dataset"] == name
    ]
    theirs: list[Line] = [
        (
            one["method"],
            {metric: (one["values"][metric], 0.0) for metric in metrics if metric in one["values"]},
            {},
            True,
        )
        for one in of_dataset(name, suite)
    ]
    return sorted((one for one in ours + theirs if one[1]), key=lambda one: one[1].get(metrics[0], (0.0, 0.0))[0])


def _panel(axes: Axes, name: str, lines: Sequence[Line], metrics: Sequence[str]) -> None:
    for place, (_, values, chance, published) in enumerate(lines):
        for number, metric in enumerate(metrics):
            if metric not in values:
                continue
            (mean, sd), colour = values[metric], COLOURS[number]
            height = place + SHIFT * (number - (len(metrics) - 1) / 2)
            axes.errorbar(
                mean, height, xerr=sd or None, fmt="D" if published else "o", color=colour, markersize=5,
                markerfacecolor="white" if published else colour, capsize=2, zorder=3,
            )  # fmt: skip
            if metric in chance:
                axes.plot(chance[metric], height, "|", color=colour, markersize=8, alpha=0.6, zorder=2)
    told = ", ".join(TITLES[metric] for metric in metrics)
    dress(axes, f"{name}: {told} (hollow: published; tick: chance)", "", "")
    axes.set_yticks(range(len(lines)), [label for label, *_ in lines])
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.set_xlim(-0.02, 1.02)
    for number, metric in enumerate(metrics):
        axes.plot([], [], "o", color=COLOURS[number], label=TITLES[metric])
    axes.legend(loc="lower right", fontsize=8, frameon=False, labelcolor=QUIET)
