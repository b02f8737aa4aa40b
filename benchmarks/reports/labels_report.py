"""What `engine bench labels` found, as Markdown and as a picture of precision over recall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HEAD = ("space", "exemplars a class", "labeler", "rule", "cosine", "precision", "recall", "draws that labelled any")
COLOURS = {"nearest": "#1f77b4", "centroid": "#d62728", "vote": "#2ca02c", "propagate": "#9467bd"}
# Marks that lie on each other are all seen: with one exemplar a class three labelers are nearly the same.
MARKERS = {"nearest": ("o", 12), "centroid": ("s", 8), "vote": ("D", 4), "propagate": ("^", 8)}
RULES: dict[str, tuple[Any, str]] = {
    "at": ("--", "hollow: thresholds 0.7, 0.75, 0.8"),
    "fpr": ("-", "filled: fpr 1e-3, 1e-4, 1e-5"),
}


def markdown(rows: Sequence[dict[str, Any]], note: str | None, independence: str) -> str:
    """Return the document: what was measured, and a row for each space, labeler, rule and number of exemplars."""
    return "\n".join(_lines(rows, note, independence)) + "\n"


def _lines(rows: Sequence[dict[str, Any]], note: str | None, independence: str) -> Iterator[str]:
    first = rows[0]
    yield f"# {first['dataset']}: labels from exemplars"
    yield ""
    if note:
        yield f"{note}.\n"
    yield (
        f"{first['params']['draws']} seeded draws of three classes; mean ± standard deviation over the draws, each "
        f"pooled over its classes, exemplars left out. {independence}."
    )
    yield ""
    yield f"| {' | '.join(HEAD)} |"
    yield "|" + "---|" * len(HEAD)
    for one in rows:
        params, metrics = one["params"], one["metrics"]
        share = " (share)" if one["method"] == "propagate" else ""
        yield (
            f"| {one['space']} | {params['exemplars']} | {one['method']} | {params['rule']} | "
            f"{params['threshold']:.3f}{share} | {_mean(metrics, 'precision')} | {_mean(metrics, 'recall')} | "
            f"{metrics['draws_with_labels']} |"
        )


def _mean(metrics: dict[str, Any], name: str) -> str:
    return "–" if metrics[name] is None else f"{metrics[name]:.3f} ± {metrics[f'{name}_sd']:.3f}"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the picture as PNG: a panel for each space and number of exemplars; filled marks are rules by rate."""
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((one["space"], one["params"]["exemplars"]) for one in rows))
    figure = Figure(figsize=(10, 8.4), layout="constrained")
    grid = figure.subplots(2, -(-len(panels) // 2), sharex=True, sharey=True, squeeze=False)
    for axes, (space, count) in zip(grid.ravel(), panels, strict=False):
        own = [one for one in rows if (one["space"], one["params"]["exemplars"]) == (space, count)]
        for labeler in COLOURS:
            _line(axes, [one for one in own if one["method"] == labeler and one["metrics"]["precision"] is not None])
        axes.set_title(f"{space}, {count} exemplar{'s' if count > 1 else ''} a class")
        axes.grid(True, color="#dddddd", linewidth=0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
    for axes in grid[-1]:
        axes.set_xlabel("recall, mean over the draws")
    for axes in grid[:, 0]:
        axes.set_ylabel("precision, mean over the draws")
    figure.legend(handles=list(_legend()), loc="outside upper center", ncols=6, frameon=False)
    figure.savefig(path, dpi=120)


def _legend() -> Iterator[Any]:
    from matplotlib.lines import Line2D

    for name, (marker, size) in MARKERS.items():
        yield Line2D([], [], color=COLOURS[name], marker=marker, markersize=size, label=name)
    for style, text in RULES.values():
        fill = "white" if style == "--" else "#555555"
        yield Line2D([], [], color="#555555", linestyle=style, marker="o", markerfacecolor=fill, label=text)


def _line(axes: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Draw one labeler: fixed thresholds as a dashed line of hollow marks, rates as a solid line of filled ones."""
    for kind, (style, _) in RULES.items():
        some = [one for one in rows if one["params"]["rule"].startswith(kind)]
        if some:
            colour, (marker, size) = COLOURS[some[0]["method"]], MARKERS[some[0]["method"]]
            x, y = ([one["metrics"][name] for one in some] for name in ("recall", "precision"))
            fill = "none" if kind == "at" else colour
            axes.plot(x, y, style, color=colour, marker=marker, markerfacecolor=fill, markersize=size, linewidth=1.4)
