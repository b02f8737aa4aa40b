"""Label: exemplars and vectors → labels with scores → rows of a run that somebody can accept or take back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.labeling.exemplars import Known, checked, known, remember
from engine.labeling.label_report import ClassReport, Truth, number_or_none, reports
from engine.labeling.label_rule import Cut, Rule
from engine.labeling.label_scan import Scored, scored
from engine.labeling.label_spaces import Comparison, agreed, compared
from engine.labeling.labels import BLOCK_ROWS, append, truth
from engine.labeling.spelling import check_spelling
from engine.progress import Progress, Silent
from engine.retrieval.search import Hit, describe
from engine.store import Space, Store
from engine.store.vectors import sort_key
from labelers import Labels

# Conflicts that are named.
SHOWN = 5


@dataclass(frozen=True)
class LabelRun:
    """What one run labelled. `ids` uint8 (n, 32) are the images looked at, `answer` the labels that it gave them.

    `rest` bool (n,) marks those written as `none_label`. `conflicts` counts images that met the threshold, but of two
    classes; `conflicting` are the closest of them. `coverage` is the share of the images that got a label.
    """

    run: str
    labeler: str
    space: str
    threshold: float | None
    fpr: float | None
    images: int
    coverage: float
    conflicts: int
    conflicting: list[Hit]
    classes: dict[str, ClassReport]
    seconds: float
    ids: NDArray[np.uint8]
    answer: Labels
    rest: NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """The runs, the exemplars that they started from, and how several spaces compare, one for each threshold.

    `remembered` is the run that wrote exemplars which are new. `notes` are for people.
    """

    runs: list[LabelRun]
    known: Known
    remembered: str | None
    comparisons: list[Comparison]
    notes: list[str]


def label(
    store: Store,
    rule: Rule,
    *,
    exemplars: Iterable[tuple[str, str]] = (),
    negatives: Iterable[tuple[str, str]] = (),
    space: str | None = None,
    compare: Sequence[str] = (),
    agree: bool = False,
    where: str | None = None,
    progress: Progress | None = None,
) -> Labelled:
    """Label the images of a space that lie close enough to exemplars: a proposed run for each threshold.

    `exemplars` and `negatives` are (class, image name); they are remembered, and those of before count too. `compare`
    names spaces to do it in, one after the other; `agree` adds runs of what they all say. Truth is only compared with.
    Everything is checked before anything is written. Raises `BadInput`, `EmptySpace`, `NoSuchImage`, `AmbiguousName`.
    """
    rule.check()
    spaces = _spaces(store, space, compare, agree)
    # A removal waits: no label is written for an image that is gone.
    with store.lock():
        said = checked(store, exemplars, negatives)
        found = known(store, said, everybody=rule.labeler == "vote")
        rule.check_classes(found.classes)
        check_spelling(store, [rule.rest_name] if rule.rest_name else [])
        notes = [f"{found.unused} labelled images are left out: others contradict them"] if found.unused else []
        done = [scored(store, one, rule, found, where, notes, progress or Silent()) for one in spaces]
        beside = list(compared(store, done)) if compare else []
        remembered = remember(store, said)
        truths = Truth.of(truth(store), found.classes)
        everything = [*done, *([agreed(done)] if agree else [])]
        runs = [
            _written(store, rule, one, number, found, truths, where)
            for one in everything
            for number in range(len(one.cuts))
        ]
    return Labelled(runs, found, remembered, beside, [*notes, *_notes(rule, runs, truths)])


def _notes(rule: Rule, runs: Sequence[LabelRun], truths: Truth) -> Iterator[str]:
    classes = runs[0].answer.classes
    if len(truths.keys) and (unnamed := [name for code, name in enumerate(classes) if code not in truths.named]):
        yield f"the truth has no image of {', '.join(unnamed)}: no precision and recall"
    for run in runs:
        rest, others = np.count_nonzero(run.rest), np.count_nonzero(run.answer.codes >= 0)
        if rule.balance is not None and rest < round(rule.balance * others):
            yield f"run {run.run}: there are only {rest} images of the rest, less than {rule.balance:g} times {others}"


def _spaces(store: Store, space: str | None, compare: Sequence[str], agree: bool) -> list[Space]:
    if compare and space is not None:
        raise BadInput(f"--space {space} and --compare-spaces {','.join(compare)}", "leave one of the two out")
    if agree and not compare:
        raise BadInput("--agree needs spaces that can agree", "name them: --compare-spaces resnet,mine")
    if compare and (len(compare) < 2 or len(set(compare)) < len(compare)):
        raise BadInput(f"--compare-spaces {','.join(compare)} names no two different ones", "list them: engine spaces")
    return [store.space(name) for name in compare] if compare else [store.space(space)]


def _written(
    store: Store, rule: Rule, made: Scored, number: int, found: Known, truths: Truth, where: str | None
) -> LabelRun:
    """Write one run, proposed until somebody accepts it, and report it."""
    cut, answer = made.cuts[number], made.answers[number]
    rest = _rest(rule, answer, made.ids)
    own = np.isin(sort_key(made.ids), sort_key(found.ids))
    classes = reports(answer, rest, rule.rest_name, truths.codes(made.ids), truths.named, own, cut.threshold)
    labelled = int(np.count_nonzero(answer.codes >= 0) + np.count_nonzero(rest))
    coverage = labelled / max(1, len(answer))
    conflicts = int(np.count_nonzero(answer.conflict))
    with store.run("label", _asked(rule, made, cut, found, where)) as run:
        _append(store, run.name, made.ids, answer, rest, rule.rest_name)
        counts = {name: one.labelled for name, one in classes.items()}
        run.result.update(labelled=labelled, coverage=coverage, classes=counts, conflicts=conflicts)
    return LabelRun(
        run.name, made.labeler, made.space, number_or_none(cut.threshold), cut.fpr, len(answer), coverage,
        conflicts, _conflicting(store, made.ids, answer), classes, made.seconds, made.ids, answer, rest,
    )  # fmt: skip


def _asked(rule: Rule, made: Scored, cut: Cut, found: Known, where: str | None) -> dict[str, Any]:
    """Return the details of a run: with them its scores can be computed again."""
    fingerprints = list(made.fingerprints.values())
    more = {} if len(fingerprints) == 1 else {"spaces": made.fingerprints, "of": rule.labeler}
    return {
        "labeler": made.labeler,
        "space": made.space,
        "fingerprint": fingerprints[0] if len(fingerprints) == 1 else None,
        "threshold": number_or_none(cut.threshold),
        "fpr": cut.fpr,
        "margin": rule.margin,
        "k": rule.k,
        "exemplars": found.by_class(),
        "not": found.by_class(polarity=False),
        "classes": list(found.classes),
        "none_label": rule.rest_name,
        "balance": rule.balance,
        "seed": rule.seed,
        "where": where,
        **more,
    }


def _rest(rule: Rule, answer: Labels, ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which images (n,) are written as the rest: without a label, and not for being close to two classes."""
    rest = (answer.codes < 0) & ~answer.conflict
    if rule.rest_name is None:
        return np.zeros(len(rest), bool)
    wanted = None if rule.balance is None else round(rule.balance * np.count_nonzero(answer.codes >= 0))
    places = np.flatnonzero(rest)
    if wanted is None or wanted >= len(places):
        return rest
    # Drawn from the ids in order, not from rows, which move.
    places = places[np.argsort(sort_key(ids[places]), kind="stable")]
    drawn = np.random.default_rng(rule.seed).choice(places, wanted, replace=False)
    return np.isin(np.arange(len(rest)), drawn)


def _append(
    store: Store, run: str, ids: NDArray[np.uint8], answer: Labels, rest: NDArray[np.bool_], rest_name: str | None
) -> None:
    for places in _blocks(np.flatnonzero(answer.codes >= 0)):
        names = [answer.classes[code] for code in answer.codes[places]]
        append(store, run, ids=ids[places], labels=names, source="run", scores=answer.scores[places])
    # No score says how close an image is to no class.
    for places in _blocks(np.flatnonzero(rest)):
        append(store, run, ids=ids[places], labels=[rest_name or ""] * len(places), source="run")


def _blocks(places: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (places[start : start + BLOCK_ROWS] for start in range(0, len(places), BLOCK_ROWS))


def _conflicting(store: Store, ids: NDArray[np.uint8], answer: Labels) -> list[Hit]:
    places = np.flatnonzero(answer.conflict)
    places = places[np.argsort(-answer.scores[places], kind="stable")][:SHOWN]
    return shown(store, ids[places], answer.scores[places])


def shown(store: Store, ids: NDArray[np.uint8], scores: NDArray[np.float64]) -> list[Hit]:
    """Return images (m, 32) with their names, the label that counts, and a score."""
    return describe(store, [one.tobytes() for one in ids], scores, np.full(len(ids), np.nan))
