"""`engine evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.label import Pair
from engine.cli.label_output import cut
from engine.cli.output import FILE, counted, emit, json_option, known, say, store_option, table

# Pairs of classes that are named.
CONFUSIONS = 5

if TYPE_CHECKING:
    from engine.labeling.evaluate import Evaluation


@click.command
@click.option("--run", help="The label run (default: the newest).")
@click.option("--truth", type=FILE, help="CSV image,label (default: the labels of role truth in the store).")
@click.option(
    "--map",
    "names",
    type=Pair("CLASS=TRUTH", "--map Character2=umbrella"),
    multiple=True,
    help="What the truth calls a class of the run.",
)
@click.option("--output", type=FILE, help="Write curves.png and confusion.png into this folder.")
@store_option
@json_option
def command(
    *,
    run: str | None,
    truth: Path | None,
    names: Sequence[tuple[str, str]],
    output: Path | None,
    store: Path,
    json: bool,
) -> None:
    """Compare the labels of a run with the truth: precision, recall, curves and confusions.

    The run's exemplars are left out of every count.
    """
    from engine.labeling.evaluate import evaluate
    from engine.store import Store

    found = evaluate(Store.open(store), run, truth=truth, names=dict(names))
    drawn: Sequence[Path] = ()
    if output is not None:
        from engine.drawing.evaluation import draw_evaluation

        drawn = draw_evaluation(found, output)
    if json:
        emit({**document(found), "pictures": [str(path) for path in drawn]})
        return
    measured = found.report
    columns = ("class", "support", "labelled", "precision", "95 %", "recall", "95 %", "f1", "area")
    rows = [_row(found, code) for code in range(len(found.classes))]
    for name, means in (("macro", measured.macro), ("micro", measured.micro)):
        rows.append((name, "", "", means.precision, "", means.recall, "", means.f1, ""))
    table(columns, rows)
    say(summary(found))
    for path in drawn:
        say(f"drawn: {path}")


def _row(found: Evaluation, code: int) -> tuple[Any, ...]:
    one = found.report
    return (
        found.classes[code], one.support[code], one.labelled[code],
        one.precision[code], interval(one.precision_interval[code]),
        one.recall[code], interval(one.recall_interval[code]),
        one.f1[code], found.areas[code],
    )  # fmt: skip


def interval(bounds: Sequence[float]) -> str:
    """Return the two ends of an interval, `nan` where there is none."""
    low, high = bounds
    return "nan" if low != low else f"{low:.3f}-{high:.3f}"


def summary(found: Evaluation) -> str:
    """Return the figures for all classes together, and what was left out of them."""
    measured = found.report
    text = (
        f"run {found.run}: {found.details['labeler']} in space {found.details['space']} at "
        f"{cut(found.details['threshold'], found.details.get('fpr'))}\n"
        f"accuracy {measured.accuracy:.4f}, balanced accuracy {measured.balanced_accuracy:.4f}, coverage "
        f"{measured.covered:.4f} of {counted(found.images, 'image')} with a truth; left out: "
        f"{counted(found.exemplars, 'exemplar')}"
    )
    absent = [name for name, number in zip(found.classes, measured.support, strict=True) if number == 0]
    more = {
        f"{counted(found.conflicting, 'image')} left out: the truth says several things of them": found.conflicting,
        f"{counted(found.truthless, 'labelled image')} without a truth, counted nowhere": found.truthless,
        f"{counted(found.unknown, 'image')} of classes that the run does not know: right is no label": found.unknown,
        f"the truth has no image of {', '.join(absent)}: precision, recall and F1 are not defined there": len(absent),
        found.note: bool(found.note),
    }
    return "\n".join([text, *(line for line, number in more.items() if number), *_confused(found)])


def _confused(found: Evaluation) -> list[str]:
    """Return in a line which classes are taken for each other most often."""
    from labelers.metrics import most_confused

    pairs = [
        f"{found.classes[truth]} as {found.classes[answer]} {number} of {found.report.support[truth]}"
        for truth, answer, number in most_confused(found.report.confusion[:-1, :-1], CONFUSIONS)
    ]
    return [f"most often confused: {', '.join(pairs)}"] if pairs else []


def document(found: Evaluation) -> dict[str, Any]:
    """Return an evaluation as `--json` prints it."""
    measured = found.report
    columns = {
        "precision": measured.precision,
        "precision_low": measured.precision_interval[:, 0],
        "precision_high": measured.precision_interval[:, 1],
        "recall": measured.recall,
        "recall_low": measured.recall_interval[:, 0],
        "recall_high": measured.recall_interval[:, 1],
        "f1": measured.f1,
        "roc_area": found.areas,
        "coverage": measured.coverage,
    }
    classes = {
        name: {key: known(values[code]) for key, values in columns.items()}
        | {"support": int(measured.support[code]), "labelled": int(measured.labelled[code])}
        for code, name in enumerate(found.classes)
    }
    means = {
        name: {key: known(value) for key, value in asdict(values).items()}
        for name, values in (("macro", measured.macro), ("micro", measured.micro))
    }
    return {
        "run": found.run,
        "labeler": found.details["labeler"],
        "space": found.details["space"],
        "accuracy": known(measured.accuracy),
        "balanced_accuracy": known(measured.balanced_accuracy),
        "macro_f1": known(measured.macro.f1),
        # A run has scores, no probabilities.
        "ece": None,
        "coverage": known(measured.covered),
        "classes": classes,
        **means,
        "confusion": measured.confusion.tolist(),
        "images": found.images,
        "exemplars": found.exemplars,
        "conflicting": found.conflicting,
        "unknown": found.unknown,
        "truthless": found.truthless,
        "complete": found.complete,
        "note": found.note or None,
    }
