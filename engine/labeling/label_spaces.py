"""The same labels in several spaces: what they share, how independent they are, what they all say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from engine.labeling.label_rule import Cut
from engine.labeling.label_scan import Scored, taken
from engine.members import first_names
from engine.store import Store
from engine.store.vectors import sort_key
from labelers import Labels
from labelers.agree import Agreement, agree

# Images that are named.
SHOWN = 5


@dataclass(frozen=True)
class Shared:
    """How many images each space labels as a class, how many all do, and that as a share of those that any does."""

    labelled: dict[str, int]
    shared: int
    jaccard: float


@dataclass(frozen=True)
class Disagreement:
    """An image, and the label that each space gives it; None for none."""

    name: str
    labels: dict[str, str | None]


@dataclass(frozen=True)
class Comparison:
    """How spaces compare at their cuts, over the `images` that have a vector in each.

    `kappa` is Cohen's, of their decisions; `correlation` that of their scores among images that none of them labels:
    the lower, the more their agreement proves. Both are (spaces, spaces), nan where not defined. `disagree` counts
    images of which they do not all say the same; `disagreeing` are those of them with the highest scores.
    """

    spaces: list[str]
    cuts: list[Cut]
    seconds: list[float]
    images: int
    classes: dict[str, Shared]
    kappa: NDArray[np.float64]
    correlation: NDArray[np.float64]
    disagree: int
    disagreeing: list[Disagreement]


def compared(store: Store, scored: Sequence[Scored]) -> Iterator[Comparison]:
    """Yield how the spaces compare at each of their cuts."""
    common = _common(scored)
    for number, (labels, found) in enumerate(_together(scored, common)):
        yield Comparison(
            [one.space for one in scored],
            [one.cuts[number] for one in scored],
            [one.seconds for one in scored],
            len(common[0]),
            {name: _shared(scored, labels, code) for code, name in enumerate(labels[0].classes)},
            found.kappa,
            found.correlation,
            int(np.count_nonzero(found.disagree)),
            _disagreeing(store, scored, labels, scored[0].ids[common[0]], found.disagree),
        )


def agreed(scored: Sequence[Scored]) -> Scored:
    """Return the labels on which all of the spaces agree, of the images that have a vector in each."""
    common = _common(scored)
    return Scored(
        " + ".join(one.space for one in scored),
        {name: fingerprint for one in scored for name, fingerprint in one.fingerprints.items()},
        "agree",
        scored[0].ids[common[0]],
        [found.labels for _, found in _together(scored, common)],
        [_one([one.cuts[number] for one in scored]) for number in range(len(scored[0].cuts))],
        sum(one.seconds for one in scored),
    )


def _together(scored: Sequence[Scored], common: list[NDArray[np.int64]]) -> Iterator[tuple[list[Labels], Agreement]]:
    for number in range(len(scored[0].cuts)):
        labels = [taken(one.answers[number], rows) for one, rows in zip(scored, common, strict=True)]
        yield labels, agree(labels)


def _common(scored: Sequence[Scored]) -> list[NDArray[np.int64]]:
    """Return the rows of each space that hold the images which all have, in one order."""
    keys = [sort_key(one.ids) for one in scored]
    wanted = reduce(np.intersect1d, keys)
    orders = [np.argsort(own, kind="stable") for own in keys]
    return [order[np.searchsorted(own[order], wanted)] for own, order in zip(keys, orders, strict=True)]


def _shared(scored: Sequence[Scored], labels: Sequence[Labels], code: int) -> Shared:
    says = np.stack([one.codes == code for one in labels])
    either, both = int(np.count_nonzero(says.any(axis=0))), int(np.count_nonzero(says.all(axis=0)))
    counts = {one.space: int(np.count_nonzero(row)) for one, row in zip(scored, says, strict=True)}
    return Shared(counts, both, both / either if either else float("nan"))


def _disagreeing(
    store: Store,
    scored: Sequence[Scored],
    labels: Sequence[Labels],
    ids: NDArray[np.uint8],
    disagree: NDArray[np.bool_],
) -> list[Disagreement]:
    rows = np.flatnonzero(disagree)
    highest = np.max([one.scores[rows] for one in labels], axis=0)
    rows = rows[np.argsort(-highest, kind="stable")][:SHOWN]
    names = first_names(store, [ids[row].tobytes() for row in rows])
    return [
        Disagreement(
            names[ids[row].tobytes()],
            {
                one.space: said.classes[said.codes[row]] if said.codes[row] >= 0 else None
                for one, said in zip(scored, labels, strict=True)
            },
        )
        for row in rows
    ]


def _one(cuts: Sequence[Cut]) -> Cut:
    """Return what cuts of several spaces have in common: a rate becomes another cosine in each."""
    thresholds, rates = {cut.threshold for cut in cuts}, {cut.fpr for cut in cuts}
    return Cut(
        thresholds.pop() if len(thresholds) == 1 else float("nan"),
        rates.pop() if len(rates) == 1 else None,
    )
