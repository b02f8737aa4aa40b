"""`engine doctor`."""

from __future__ import annotations

from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.output import FILE, emit, json_option, known, progress, say, store_option, table

if TYPE_CHECKING:
    from engine.labeling.diagnosis import Diagnosis, Measured


@click.command
@click.option("--space", multiple=True, help="Repeatable. Default: all spaces.")
@click.option("--labels", help="Whose labels: human,exemplar,given (default), or some of these.")
@click.option("--truth", is_flag=True, help="The labels kept for evaluation instead.")
@click.option("--precision", type=float, default=0.95, show_default=True, help="What a threshold is to reach.")
@click.option("--output", type=FILE, help="Draw the scores of pairs into this PNG file.")
@store_option
@json_option
def command(
    *,
    space: tuple[str, ...],
    labels: str | None,
    truth: bool,
    precision: float,
    output: Path | None,
    store: Path,
    json: bool,
) -> None:
    """Say which spaces separate your labels, what a threshold means there, and what to do next."""
    from engine.errors import BadInput
    from engine.labeling.doctor import SOURCES, doctor
    from engine.store import Store

    if labels is not None and truth:
        raise BadInput(f"--labels {labels} and --truth are two kinds of labels", "leave one of the two out")
    if output is not None:
        from engine.pictures import png

        png.check(output)
    sources = SOURCES if labels is None else tuple(part.strip() for part in labels.split(","))
    with progress() as drawn:
        found = doctor(
            Store.open(store), spaces=space, sources=sources, truth=truth, precision=precision, progress=drawn
        )
    if output is not None:
        from engine.drawing.doctor import draw_diagnosis

        draw_diagnosis(found, output)
    if json:
        emit({**document(found), "picture": None if output is None else str(output)})
        return
    columns = ("space", "dim", "coverage", f"{found.k}-nn", "silhouette", "threshold", "precision", "recall", "fpr", "")
    table(columns, [_row(one, found) for one in found.spaces])
    for sentence in found.words():
        print(sentence)
    for warning in found.warnings:
        say(f"warning: {warning}")
    if output is not None:
        say(f"drawn: {output}")


def _row(one: Measured, found: Diagnosis) -> tuple[Any, ...]:
    from engine.labeling.diagnosis import percent

    needed, measured = one.separation.needed, one.separation
    mark = "recommended" if one.space == found.recommended else ""
    return (
        one.space, one.dim, f"{one.coverage:.1%}", measured.knn_agreement, measured.silhouette, needed.threshold,
        needed.precision, needed.recall, None if isnan(one.fpr) else percent(one.fpr), mark,
    )  # fmt: skip


def document(found: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as `--json` prints it."""
    return {
        "recommended": found.recommended,
        "labels": found.sources,
        "images": found.images,
        "share": found.share,
        "classes": found.sizes,
        "k": found.k,
        "precision": found.precision,
        "spaces": {one.space: _space(one) for one in found.spaces},
        "difference": None if found.difference is None else asdict(found.difference) | _compared(found),
        "words": found.words(),
        "warnings": found.warnings,
    }


def _space(one: Measured) -> dict[str, Any]:
    measured = one.separation
    return {
        "fingerprint": one.fingerprint,
        "dim": one.dim,
        "coverage": one.coverage,
        "knn_agreement": measured.knn_agreement,
        "silhouette": known(measured.silhouette),
        "threshold": known(measured.needed.threshold),
        "precision": known(measured.needed.precision),
        "recall": known(measured.needed.recall),
        "fpr": known(one.fpr),
    }


def _compared(found: Diagnosis) -> dict[str, Any]:
    return {"spaces": [one.space for one in found.spaces[:2]], "certain": found.difference and found.difference.certain}
