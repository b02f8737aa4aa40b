"""A race as a picture: median latency over recall, each competitor's Pareto front as a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.peers.metrics import Race, Result, front
from benchmarks.peers.report import OURS

TICKS = (0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
# A recall of 1 has to lie somewhere on an axis that gives the last per cent as much room as the first fifty.
END = 1.002
# One for each kind of ours: a repeated one would name two lines.
COLOURS = ("#8c564b", "#17becf", "#2ca02c", "#9467bd", "#ff7f0e", "#d62728", "#1f77b4", "#e377c2")
OWN_MARKERS = "sDov^Ph*"
GREYS = ("#222222", "#555555", "#888888")
MARKERS = "sD^vPX*d"


def draw(race: Race, path: Path) -> None:
    """Write the picture as PNG. Ours are coloured and thick, peers grey."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 5.6), layout="constrained")
    axes = figure.add_subplot()
    lines = fronts(race)
    ours = [name for name in lines if name.startswith(OURS)]
    for name in sorted(lines, key=lambda name: name not in ours):
        style = (
            _ours(ours.index(name)) if name in ours else _peer([one for one in lines if one not in ours].index(name))
        )
        x = [_place(one.recall_at_10) for one in lines[name]]
        axes.plot(x, [1e3 * one.p50 for one in lines[name]], label=name, **style)
    axes.set_yscale("log")
    axes.set_xticks([_place(tick) for tick in TICKS], [f"{tick:g}" for tick in TICKS])
    least = min((one.recall_at_10 for line in lines.values() for one in line), default=0.0)
    axes.set_xlim(_place(max([TICKS[0], *(tick for tick in TICKS if tick < least)])) - 0.03, _place(1.0) + 0.06)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_xlabel("recall@10 (the last per cent is stretched)")
    axes.set_ylabel("median latency of one query, ms (log)")
    axes.set_title(
        f"{race.run['dataset']}: {race.run['rows']:,} × {race.run['dim']}, one thread; lower right is better"
    )
    if lines:
        figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)


def fronts(race: Race) -> dict[str, list[Result]]:
    """Return the Pareto front of each competitor, least recall first."""
    names = dict.fromkeys(one.competitor for one in race.results if one.missing is None)
    return {name: front(one for one in race.results if one.competitor == name) for name in names}


def _place(recall: float) -> float:
    return float(-np.log10(END - recall))


def _ours(number: int) -> dict:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linewidth": 2.4,
        "marker": OWN_MARKERS[number % len(OWN_MARKERS)],
        "markersize": 6.5,
        "zorder": 3,
    }


def _peer(number: int) -> dict:
    return {
        "color": GREYS[number % len(GREYS)],
        "linewidth": 1.1,
        "linestyle": ("--", ":", "-.")[number // len(GREYS) % 3],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 6,
        "markerfacecolor": "white",
        "zorder": 2,
    }
