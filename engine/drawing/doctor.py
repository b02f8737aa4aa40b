"""A diagnosis as a picture: a panel for each space."""

from __future__ import annotations

from pathlib import Path

from engine.labeling.diagnosis import Diagnosis, Measured, percent
from engine.pictures.pairs import Panel, pairs


def draw_diagnosis(found: Diagnosis, path: Path) -> Path:
    """Draw the cosines of pairs of one class and of two, in each space, as a PNG at `path`. Raises `BadInput`."""
    title = f"{found.images} labelled images of {len(found.sizes)} classes; precision asked for {found.precision:g}"
    return pairs([_panel(one, found) for one in found.spaces], path, title=title)


def _panel(one: Measured, found: Diagnosis) -> Panel:
    mark = "  (recommended)" if one.space == found.recommended else ""
    title = f"{one.space}: {percent(one.separation.knn_agreement)} of {found.k}-NN agree{mark}"
    return Panel(title, one.separation.same, one.separation.other, one.threshold)
