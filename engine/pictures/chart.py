"""What charts share: a look, and curves of which the first few are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Distinct for colour-blind eyes too: Okabe & Ito 2008.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, QUIET, PALE = "#27272a", "#71717a", "#d4d4d8"
# Points of a curve: the first ones all, for a logarithmic axis shows them best, then ever fewer.
FIRST, POINTS = 1000, 2000
LETTERS = 28


@dataclass(frozen=True)
class Line:
    """A named curve, the point that is in use, if one is, and what stands behind its name."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    point: tuple[float, float] | None = None
    more: str = ""


def draw_lines(axes: Axes, lines: Sequence[Line], *, least: float, colours: Sequence[str] = COLOURS) -> None:
    """Draw lines, the first ones in `colours` and named, the others pale behind them; what is below `least` at it."""
    for place, line in enumerate(lines):
        named = place < len(colours)
        label = short(line.name) + line.more if named else None
        shown = _shown(len(line.x))
        axes.plot(
            np.maximum(line.x[shown], least), line.y[shown], color=colours[place] if named else PALE,
            linewidth=1.7 if named else 0.7, zorder=3 if named else 1, label=label,
        )  # fmt: skip
        if named and line.point is not None:
            x, y = line.point
            axes.plot(max(x, least), y, "o", color=colours[place], markersize=6, zorder=5, clip_on=False)


def _shown(points: int) -> NDArray[np.int64]:
    if points <= FIRST:
        return np.arange(points)
    return np.unique(np.concatenate([np.arange(FIRST), np.geomspace(FIRST, points - 1, POINTS).astype(np.int64)]))


def dress(axes: Axes, title: str, x: str, y: str) -> None:
    """Give axes their title and labels and take away the frame."""
    axes.set_title(title, fontsize=11, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=9, color=QUIET)
    axes.set_ylabel(y, fontsize=9, color=QUIET)
    axes.tick_params(labelsize=8, colors=QUIET)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#f0f0f2", linewidth=0.8)
    axes.set_axisbelow(True)


def short(name: str) -> str:
    """Return a class name that fits; a dollar sign would begin a formula."""
    cut = name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
    return cut.replace("$", r"\$")
