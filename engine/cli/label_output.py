"""Labels as `engine label` prints them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.output import counted, say, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.labeling.exemplars import Known
    from engine.labeling.label import Labelled, LabelRun
    from engine.labeling.label_report import ClassReport
    from engine.labeling.label_spaces import Comparison

COLUMNS = (
    "space", "labeler", "threshold", "class", "labelled", "exemplars", "coverage", "scores", "precision", "recall",
)  # fmt: skip
# Classes that are named in a line.
CLASSES = 6
WORDS = {
    "human": lambda number: f"{counted(number, 'label')} that people gave",
    "exemplar": lambda number: counted(number, "exemplar"),
    "given": lambda number: f"{counted(number, 'label')} that came with the data",
}
SHARED = ("threshold", "class", "labelled", "by all", "jaccard")


def show(done: Labelled) -> None:
    """Print a row for each run and class, what spaces share, and what to do next."""
    lines = [_line(run, name, one) for run in done.runs for name, one in run.classes.items()]
    table(COLUMNS, lines)
    if done.comparisons:
        table(SHARED, [line for one in done.comparisons for line in _shared(one)])
    for comparison in done.comparisons:
        say(_independence(comparison))
        for one in comparison.disagreeing:
            said = ", ".join(f"{space} {label or 'no label'}" for space, label in one.labels.items())
            say(f"  {one.name}: {said}")
    say(_start(done.known))
    for note in done.notes:
        say(note)
    for run in done.runs:
        say(_summary(run))
        for line in _alone(run):
            say(f"  {line}")
    if done.remembered:
        say(f"exemplars remembered in run {done.remembered}")
    if any(one.precision is not None for run in done.runs for one in run.classes.values()):
        say("precision and recall: 95 % intervals (Wilson), exemplars left out")
    say("accept one: engine labels accept RUN")


def _start(known: Known) -> str:
    """Return in a line what the runs started from, and which labels that there are they did not."""
    classes = [f"{name} {len(ids)}" for name, ids in known.by_class().items()]
    named = ", ".join(classes[:CLASSES]) + (f", … {len(classes)} classes" if len(classes) > CLASSES else "")
    used = [WORDS[source](known.counts[source]) for source in known.sources if source in known.counts]
    left = [words(known.counts[one]) for one, words in WORDS.items() if one in known.counts.keys() - set(known.sources)]
    more = f"; left out, as there are exemplars: {' and '.join(left)} (--labeler vote asks all)" if left else ""
    return f"from {' and '.join(used)} ({named}){more}"


def _line(run: LabelRun, name: str, one: ClassReport) -> tuple[Any, ...]:
    from engine.labeling.label_report import apart

    ends = [apart(score, run.threshold) for score in (one.score_low, one.score_high) if score is not None]
    return (
        run.space,
        run.labeler,
        cut(run.threshold, run.fpr),
        name,
        one.labelled,
        one.exemplars,
        f"{one.coverage:.2%}",
        "–".join(ends) or None,
        _interval(one.precision, one.precision_low, one.precision_high),
        _interval(one.recall, one.recall_low, one.recall_high),
    )


def cut(threshold: float | None, fpr: float | None) -> str:
    """Return a threshold as people read it, with the rate of random pairs that reach it where that is known."""
    rate = "" if fpr is None else f" (fpr {fpr:.1e})"
    return f"{'each its own' if threshold is None else f'{threshold:.4g}'}{rate}"


def _interval(value: float | None, low: float | None, high: float | None) -> str | None:
    return None if value is None else f"{value:.3f} ({low:.3f}–{high:.3f})"


def _shared(found: Comparison) -> list[tuple[Any, ...]]:
    cut = ", ".join(dict.fromkeys(f"{cut.threshold:.4g}" for cut in found.cuts))
    return [
        (
            cut,
            name,
            ", ".join(f"{space} {count}" for space, count in one.labelled.items()),
            one.shared,
            "-" if one.jaccard != one.jaccard else f"{one.jaccard:.3f}",
        )
        for name, one in found.classes.items()
    ]


def _independence(found: Comparison) -> str:
    """Return in a line how the spaces compare, and what their agreement is worth."""
    cut = ", ".join(dict.fromkeys(f"{cut.threshold:.4g}" for cut in found.cuts))
    pairs = [
        f"{one} and {other}: kappa {_number(found.kappa[a, b])}, "
        f"correlation of scores where neither labels {_number(found.correlation[a, b])}"
        for a, one in enumerate(found.spaces)
        for b, other in enumerate(found.spaces)
        if a < b
    ]
    seconds = ", ".join(f"{name} {value:.3f} s" for name, value in zip(found.spaces, found.seconds, strict=True))
    return f"at {cut}: {'; '.join(pairs)}; they differ on {found.disagree} of {found.images} images; {seconds}"


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"


def _alone(run: LabelRun) -> Iterator[str]:
    """Yield a line for each class that nothing but its exemplars was labelled as."""
    from engine.labeling.label_report import apart

    for name, one in run.classes.items():
        if one.exemplars and one.labelled == one.exemplars:
            only = "the exemplar" if one.exemplars == 1 else f"its {one.exemplars} exemplars"
            near = "" if one.closest is None else f"; closest other {apart(one.closest, run.threshold)}"
            yield f"{name}: only {only}{near}"


def _summary(run: LabelRun) -> str:
    labelled = sum(one.labelled for one in run.classes.values())
    text = f"run {run.run}: {run.labeler} in space {run.space} at {cut(run.threshold, run.fpr)}, "
    text += f"{labelled} of {counted(run.images, 'image')} labelled in {run.seconds:.3f} s"
    if run.conflicts:
        named = ", ".join(hit.name for hit in run.conflicting)
        more = ", …" if run.conflicts > len(run.conflicting) else ""
        text += f"; {counted(run.conflicts, 'conflict')}, left without a label ({named}{more})"
    return text


def document(done: Labelled) -> dict[str, Any]:
    """Return the runs as `--json` prints them."""
    return {
        "runs": [_run(run) for run in done.runs],
        "exemplars": done.known.by_class(),
        "not": done.known.by_class(polarity=False),
        "sources": list(done.known.sources),
        "counts": done.known.counts,
        "remembered": done.remembered,
        "comparisons": [_comparison(one) for one in done.comparisons],
        "notes": done.notes,
    }


def _run(run: LabelRun) -> dict[str, Any]:
    return {
        "run": run.run,
        "labeler": run.labeler,
        "space": run.space,
        "threshold": run.threshold,
        "fpr": run.fpr,
        "images": run.images,
        "coverage": run.coverage,
        "certificate": None,
        "conflicts": run.conflicts,
        "conflicting": [hit.name for hit in run.conflicting],
        "classes": {name: asdict(one) for name, one in run.classes.items()},
        "seconds": run.seconds,
    }


def _comparison(found: Comparison) -> dict[str, Any]:
    return {
        "spaces": found.spaces,
        "thresholds": [cut.threshold for cut in found.cuts],
        "fpr": [cut.fpr for cut in found.cuts],
        "seconds": found.seconds,
        "images": found.images,
        "disagree": found.disagree,
        "disagreeing": [asdict(one) for one in found.disagreeing],
        "classes": {
            name: {**asdict(one), "jaccard": None if one.jaccard != one.jaccard else one.jaccard}
            for name, one in found.classes.items()
        },
        "kappa": _matrix(found.kappa),
        "correlation": _matrix(found.correlation),
    }


def _matrix(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if value != value else value for value in row] for row in values.tolist()]
