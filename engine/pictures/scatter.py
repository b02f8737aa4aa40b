"""Points in two dimensions, coloured by group or by value, as one PNG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.pictures import png
from engine.pictures.chart import INK, PALE, QUIET, short
from engine.pictures.palette import Groups, Values, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Cells a side in which the densest places of a group are looked for, and how many of them may take its name.
CELLS = 40
PLACES = 8
# Pixels of the part that points are drawn in; of a line of a name, and of a letter, which is a little less.
WIDE, HIGH = 880.0, 720.0
LINE, LETTER = 15.0, 7.5


def scatter(
    xy: NDArray[np.float32],
    path: Path,
    *,
    title: str,
    note: str = "",
    by: Groups | Values | None = None,
    legend: str = "",
) -> Path:
    """Draw the points xy (n, 2) as a PNG at `path` and return `path`.

    `by` colours them: of groups the first 18 have a colour and, where there is room for it, a name on the picture, all
    others together are pale; the legend, under the heading `legend`, says how many points each has. Without it all have
    one colour. Raises `BadInput`.
    """
    png.check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(title.replace("$", r"\$"), fontsize=12, color=INK, x=0.01, ha="left")
    axes = figure.subplots()
    axes.set(xticks=(), yticks=(), aspect="equal", adjustable="datalim")
    axes.spines[:].set_visible(False)
    axes.margins(0.02)
    if isinstance(by, Values):
        _valued(axes, xy, by)
    else:
        _grouped(axes, xy, by, legend)
    if note:
        figure.supxlabel(note.replace("$", r"\$"), fontsize=8.5, color=QUIET, x=0.01, ha="left")
    return png.save(path, lambda name: figure.savefig(name, dpi=100))


def _size(n: int) -> float:
    return float(np.clip(60_000 / n, 1.6, 24))


def _grouped(axes: Axes, xy: NDArray[np.float32], by: Groups | None, heading: str) -> None:
    from matplotlib.colors import to_rgb

    if by is None:
        by = Groups(np.zeros(len(xy), np.int32), ("images",))
    shown = min(len(by.names), len(by.colours))
    table = np.array([to_rgb(colour(by, code)) for code in (*range(len(by.names)), -1)])
    # Those without a colour lie below; among the others no group lies on top of all.
    order = np.random.default_rng(0).permutation(len(xy))
    order = order[np.argsort((by.codes[order] >= 0) & (by.codes[order] < shown), kind="stable")]
    axes.scatter(
        xy[order, 0], xy[order, 1], s=_size(len(xy)), c=table[by.codes[order]], linewidths=0, alpha=0.8, zorder=2
    )
    if len(by.names) > 1:
        _names(axes, xy, by, shown)
    _legend(axes, by, shown, heading)


def _names(axes: Axes, xy: NDArray[np.float32], by: Groups, shown: int) -> None:
    """Write the name of each coloured group where it is densest, or nearly so, if it covers no other there."""
    from matplotlib.patheffects import withStroke

    low, extent = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-9)
    # Pixels that the smallest and the largest coordinate are apart: both axes have one scale.
    pixels = extent * (np.array([WIDE, HIGH]) / extent).min()
    written: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for code in range(shown):
        unit = (xy[by.codes == code] - low) / extent
        size = np.array([LETTER * len(short(by.names[code])), LINE])
        for place in _densest(unit):
            if all((np.abs(place - other) * pixels >= (size + taken) / 2).any() for other, taken in written):
                written.append((place, size))
                axes.annotate(
                    short(by.names[code]), place * extent + low, fontsize=9, color=INK, ha="center", va="center",
                    zorder=4, path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
                )  # fmt: skip
                break


def _densest(unit: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the middles of the points in the cells that hold the most of them, the fullest first."""
    cells = np.minimum((unit * CELLS).astype(np.int64), CELLS - 1) @ np.array([CELLS, 1])
    found, counts = np.unique(cells, return_counts=True)
    fullest = found[np.argsort(-counts, kind="stable")[:PLACES]]
    return [unit[cells == cell].mean(axis=0) for cell in fullest]


def _legend(axes: Axes, by: Groups, shown: int, heading: str) -> None:
    from matplotlib.lines import Line2D

    sizes = by.sizes()
    entries = [(colour(by, code), short(by.names[code]), int(sizes[code])) for code in range(shown)]
    if rest := len(by.names) - shown:
        entries.append((PALE, f"other ({rest} more)", int(sizes[shown:-1].sum())))
    if sizes[-1]:
        entries.append((PALE, by.without, int(sizes[-1])))
    marks = [
        Line2D([], [], marker="o", linestyle="", color=one, markersize=6, label=f"{name}  {count:,}")
        for one, name, count in entries
    ]
    box = axes.legend(
        handles=marks, title=heading or None, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9,
        labelcolor=INK, handletextpad=0.3, title_fontsize=9, alignment="left",
    )  # fmt: skip
    box.get_title().set_color(QUIET)


def _valued(axes: Axes, xy: NDArray[np.float32], by: Values) -> None:
    known = np.isfinite(by.values)
    size = _size(len(xy))
    axes.scatter(xy[~known, 0], xy[~known, 1], s=size, c=PALE, linewidths=0, zorder=1)
    # The highest on top.
    order = np.flatnonzero(known)[np.argsort(by.values[known], kind="stable")]
    drawn = axes.scatter(xy[order, 0], xy[order, 1], s=size, c=by.values[order], cmap="cividis", linewidths=0, zorder=2)
    if len(order) and axes.figure is not None:
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.5, pad=0.02)
        missing = f"; pale: {by.nothing}, {int((~known).sum()):,}" if not known.all() else ""
        bar.set_label(f"{by.name}{missing}", fontsize=9, color=QUIET)
        bar.ax.tick_params(labelsize=8, colors=QUIET)
