"""A confusion matrix as a PNG: rows are the truth, columns the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.pictures import png
from engine.pictures.chart import INK, QUIET, short

# Up to here there is room for numbers.
NUMBERED = 25


def confusion(table: NDArray[np.int64], names: Sequence[str], path: Path, *, title: str) -> Path:
    """Draw counts (n, n) of truth by answer, coloured by their share of the row; return `path`. Raises `BadInput`."""
    png.check(path)
    from matplotlib.figure import Figure

    n = len(names)
    side = max(4.5, min(0.62, 0.28 + 6 / n) * n if n <= NUMBERED else 0.135 * n)
    figure = Figure(figsize=(side + 3.2, side + 2.4), layout="constrained")
    figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    axes = figure.subplots()
    rows = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, rows, out=np.zeros(table.shape), where=rows > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    size = 9 if n <= NUMBERED else 6
    labels = [short(name) for name in names]
    axes.set_xticks(range(n), labels, rotation=90 if n > 6 else 30, ha="center" if n > 6 else "right", fontsize=size)
    axes.set_yticks(range(n), labels, fontsize=size)
    axes.set_xlabel("answer", fontsize=10, color=QUIET)
    axes.set_ylabel("truth", fontsize=10, color=QUIET)
    axes.tick_params(length=0 if n <= NUMBERED else 2)
    axes.spines[:].set_visible(False)
    # Lines between the classes, so that a row can be followed.
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e4e4e7", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    if n <= NUMBERED:
        for (row, column), count in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.5 else INK if count else "#d4d4d8"
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=9, color=colour)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, pad=0.02)
    bar.set_label("share of the images of a true class", fontsize=8, color=QUIET)
    bar.ax.tick_params(labelsize=8, colors=QUIET)
    return png.save(path, lambda name: figure.savefig(name, dpi=110))
