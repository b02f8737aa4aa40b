"""One-vs-rest ROC curves and precision over coverage, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.pictures import png
from engine.pictures.chart import COLOURS, INK, QUIET, Line, draw_lines, dress

# Where the logarithmic axes begin, which is also where 0 is drawn.
LEAST = 1e-4


def curves(
    rocs: Sequence[Line], coverages: Sequence[Line], overall: Line, path: Path, *, title: str, note: str = ""
) -> Path:
    """Draw the curves of some classes and `overall`, the precision over coverage of all together; return `path`.

    The first six classes are drawn in colours, the others pale: give those first that matter. Raises `BadInput`.
    """
    png.check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.4), layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    left, right = figure.subplots(1, 2)
    draw_lines(left, rocs, least=LEAST)
    chance = np.geomspace(LEAST, 1)
    left.plot(chance, chance, ":", color=QUIET, linewidth=0.8)
    more = f" ({len(COLOURS)} of {len(rocs)} classes named)" if len(rocs) > len(COLOURS) else ""
    dress(left, f"ROC, one class against the rest{more}", "false positive rate (log scale)", "true positive rate")
    draw_lines(right, coverages, least=LEAST)
    draw_lines(right, [overall], least=LEAST, colours=[INK])
    dress(right, "Precision over coverage", "share of images answered (log scale)", "precision")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set(xlim=(LEAST, 1.05), ylim=(-0.01, 1.02))
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8, frameon=False, loc="best")
    if note:
        figure.supxlabel(note, fontsize=8, color=QUIET, x=0.01, ha="left")
    return png.save(path, lambda name: figure.savefig(name, dpi=110))
