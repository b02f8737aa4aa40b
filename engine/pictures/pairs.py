"""How close pairs of one class are, and pairs of two, in several spaces: a panel each, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.pictures import png
from engine.pictures.chart import COLOURS, INK, dress

BINS = 60
WIDTH, HEIGHT = 5.6, 2.9  # of a panel, in inches
ACROSS = 2


@dataclass(frozen=True)
class Panel:
    """A space: cosines of pairs of one class and of two, and the threshold that it would need, if one would do."""

    title: str
    same: NDArray[np.float64]
    other: NDArray[np.float64]
    threshold: float | None = None


def pairs(panels: Sequence[Panel], path: Path, *, title: str) -> Path:
    """Draw the panels on one scale and return `path`. Raises `BadInput`."""
    png.check(path)
    from matplotlib.figure import Figure

    columns = min(ACROSS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(max(columns * WIDTH, 7.5), rows * HEIGHT + 0.6), layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
    every = np.concatenate([scores for panel in panels for scores in (panel.same, panel.other)])
    bins = np.linspace(every.min() if len(every) else -1, 1, BINS + 1)
    for axes, panel in zip(grid.ravel(), panels, strict=False):
        for scores, colour, name in ((panel.other, COLOURS[1], "two classes"), (panel.same, COLOURS[0], "one class")):
            shares = np.histogram(scores, bins)[0] / max(len(scores), 1)
            axes.stairs(shares, bins, fill=True, color=colour, alpha=0.45, label=f"pairs of {name}")
        if panel.threshold is not None:
            axes.axvline(panel.threshold, color=INK, linewidth=1.2, label=f"threshold needed: {panel.threshold:.3f}")
        dress(axes, panel.title, "cosine", "share of the pairs")
        axes.tick_params(labelbottom=True)
        axes.legend(fontsize=8, frameon=False)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    return png.save(path, lambda name: figure.savefig(name, dpi=110))
