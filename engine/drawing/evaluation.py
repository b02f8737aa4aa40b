"""An evaluation as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import BadInput
from engine.labeling.evaluate import Evaluation
from engine.pictures.chart import COLOURS, Line
from engine.pictures.confusion import confusion
from engine.pictures.curves import curves
from labelers.metrics import Curve

NONE = "none of these"


def draw_evaluation(found: Evaluation, folder: Path) -> list[Path]:
    """Write curves.png and confusion.png into `folder`, which is made if need be; return their paths.

    The points are what the run wrote. Of many classes the worst are named: those with the least area, else the lowest
    F1. Raises `BadInput`.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file", "name a folder: --output DIR")
    folder.mkdir(parents=True, exist_ok=True)
    title = f"Run {found.run}: {found.details['labeler']} in space {found.details['space']}, {found.images} images"
    order = list(range(len(found.classes)))
    if len(order) > len(COLOURS):
        worst = found.areas if found.complete else found.report.f1
        order = np.argsort(np.nan_to_num(worst, nan=2.0), kind="stable").tolist()
    measured = found.report
    table = measured.confusion
    correct = table.diagonal()[:-1]
    rest = found.images - measured.support
    rocs = [
        Line(
            found.classes[code], found.rocs[code].x, found.rocs[code].y,
            _point((measured.labelled[code] - correct[code]) / max(rest[code], 1), measured.recall[code]),
            _area(found, code),
        )
        for code in order
        if measured.support[code] and rest[code]
    ]  # fmt: skip
    coverages = [
        _line(found.classes[code], found.coverages[code], measured.coverage[code], measured.precision[code])
        for code in order
    ]
    overall = _line("all classes", found.overall, measured.covered, measured.micro.precision)
    note = "dots: what the run labelled, each image as one class only" + (f"; {found.note}" if found.note else "")
    return [
        curves(rocs, coverages, overall, folder / "curves.png", title=title, note=note),
        confusion(table, [*found.classes, NONE], folder / "confusion.png", title=title),
    ]


def _area(found: Evaluation, code: int) -> str:
    return "" if np.isnan(found.areas[code]) else f"  (area {found.areas[code]:.3f})"


def _line(name: str, curve: Curve, x: float, y: float) -> Line:
    return Line(name, curve.x, curve.y, _point(x, y))


def _point(x: float, y: float) -> tuple[float, float] | None:
    return None if np.isnan(x) or np.isnan(y) else (float(x), float(y))
