"""Loss curves of a training as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.pictures import png
from engine.pictures.chart import COLOURS, INK, dress


@dataclass(frozen=True)
class Losses:
    """A loss over the steps, of the pictures trained on and of those held out."""

    title: str
    steps: NDArray[np.float64]
    training: NDArray[np.float64]
    held_out: NDArray[np.float64]


def losses(panels: Sequence[Losses], path: Path, *, best: int, title: str) -> Path:
    """Draw a panel for each loss, with a mark at the step `best`, whose weights were kept; return `path`."""
    png.check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6 * len(panels), 3.8), layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    for axes, one in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for values, colour, name in ((one.training, COLOURS[0], "training"), (one.held_out, COLOURS[1], "held out")):
            axes.plot(one.steps, values, color=colour, linewidth=1.7, marker="o", markersize=2.5, label=name)
        axes.axvline(best, color=INK, linewidth=0.8, linestyle=":", label=f"kept: step {best}")
        dress(axes, one.title, "step", "loss")
        axes.set_yscale("log")
        for set_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            set_formatter("{x:.2g}")
        axes.legend(fontsize=8, frameon=False)
    return png.save(path, lambda name: figure.savefig(name, dpi=110))
