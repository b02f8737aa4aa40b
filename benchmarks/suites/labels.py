"""Labels by exemplars: precision and recall of every labeler, over draws of classes and exemplars, in two spaces.

Each draw takes three classes and some exemplars of each; every other image is to be labelled with one of them or not at
all, those of `BACKGROUND_Google` among them. Truth is looked at only afterwards. The spaces are the bundled network's
and one without any network, of 32 × 32 pixels, which errs on other images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from benchmarks.job import Job, Settings, row
from benchmarks.reports.labels_report import draw, markdown
from benchmarks.reports.page import save
from benchmarks.subjects.pixels import PIXELS
from benchmarks.subjects.spaces import view
from benchmarks.subjects.stores import NETWORK
from benchmarks.subjects.subject import Subject, subject
from benchmarks.subjects.survey import subjects
from benchmarks.subjects.views import How
from engine.labeling.label_rule import RANGES, SHARES, Cut, Rule
from engine.labeling.label_scan import at
from engine.progress import Progress
from indexers.background import measure as background
from indexers.graph import build as knn
from labelers import LABELERS, Exemplars, Labels
from labelers.metrics import report as beside_truth

SPACES = (NETWORK, PIXELS)
DRAWS, QUICK_DRAWS, CLASSES, EXEMPLARS = 20, 3, 3, (1, 3)
THRESHOLDS, RATES = (0.7, 0.75, 0.8), (1e-3, 1e-4, 1e-5)
BACKGROUND = "BACKGROUND_Google"
# Members that a class must have beside its exemplars, so that recall is a share of something.
LEAST = 5
NEIGHBOURS, SAMPLE = 10, 1000
GRAPH_K = 15


@dataclass(frozen=True)
class Measured:
    """A space as the labelers see it: unit rows, the graph of neighbours, and the cut that each rule means there."""

    name: str
    fingerprint: str
    X: NDArray[np.float32]
    graph: Any
    rules: dict[str, Cut]


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each space and number of exemplars, which gives a row for each labeler and rule."""
    draws = QUICK_DRAWS if settings.quick else DRAWS
    names = settings.datasets or (("sample",) if settings.quick else ("caltech101",))
    for one in subjects("labels", replace(settings, datasets=names), progress):
        if isinstance(one, Job):
            yield one
            continue
        # Those that belong to no class are among the rest.
        whole = subject(replace(one.found, left_out=()), one.store)
        spaces = cache(partial(_spaces, whole, progress))
        for space in SPACES:
            told = {"dataset": one.found.name, "data": whole.data, "space": space, "seed": settings.seed}
            for count in EXEMPLARS:
                yield Job(
                    {**told, "exemplars": count, "draws": draws},
                    partial(_available, whole, spaces, space, count, draws, settings),
                )


def _available(
    one: Subject, spaces: Callable[[], Mapping[str, Measured]], space: str, count: int, draws: int, settings: Settings
) -> list[dict[str, Any]]:
    """Return the rows of a job, or the one that says what is lacking."""
    try:
        return _rows(one, spaces, space, count, draws, settings)
    except Unavailable as error:
        params = {"exemplars": count, "draws": draws}
        facts: dict[str, Any] = {"split": one.split, "space": space, "pixels": one.found.pixels}
        return [row("labels", one.found.name, "none", params=params, note=str(error), seed=settings.seed, **facts)]


def _rows(
    one: Subject, spaces: Callable[[], Mapping[str, Measured]], space: str, count: int, draws: int, settings: Settings
) -> list[dict[str, Any]]:
    truth = np.array(one.classes)[one.codes]
    # Before the spaces, which take long.
    fit(truth)
    seen = spaces()
    shared = overlap(*(seen[name].X for name in SPACES), seed=settings.seed)
    note = f"10-NN overlap of the spaces {shared:.3f}, chance {NEIGHBOURS / (len(truth) - 1):.4f}"
    if len(seen[space].rules) < len(THRESHOLDS) + len(RATES):
        note += f"; {len(truth)} images have too few pairs for the smallest rates"
    found = measured(seen[space], truth, count, draws, settings.seed)
    return [_row(one, seen[space], count, draws, settings.seed, line, note) for line in found]


def report(rows: Sequence[dict[str, Any]], settings: Settings, progress: Progress) -> None:
    """Write NAME.md and NAME.png of each data set."""
    for name in dict.fromkeys(one["dataset"] for one in rows if one["available"]):
        own = [one for one in rows if one["dataset"] == name and one["available"]]
        stem = f"{name}-quick" if settings.quick else name
        save(settings.output / f"{stem}.md", markdown(own, None, own[0]["note"]))
        draw(own, settings.output / f"{stem}.png")
        progress.note(f"written: {settings.output}/{stem}.md, {stem}.png")


def _row(
    one: Subject, space: Measured, count: int, draws: int, seed: int, found: dict[str, Any], note: str
) -> dict[str, Any]:
    params = {"rule": found["rule"], "exemplars": count, "draws": draws, "threshold": found["threshold"]}
    return row(
        "labels", one.found.name, found["labeler"], params=params, metrics=found["metrics"], seconds=found["seconds"],
        seed=seed, split=one.split, space=space.name, fingerprint=space.fingerprint, pixels=one.found.pixels,
        images=len(one.ids), store_version=one.store.versions(), note=note,
    )  # fmt: skip


def _spaces(one: Subject, progress: Progress) -> dict[str, Measured]:
    """Return both spaces in memory, rows in the order of the subject."""
    rows = np.arange(len(one.ids))
    seen = {name: view(one, name, How(progress)) for name in SPACES}
    return {name: _space(one.fingerprint, name, one.take(rows)) for name, one in seen.items()}


def _space(fingerprint: str, name: str, X: NDArray[np.float32]) -> Measured:
    random = background(X)
    rules = {f"at {value:g}": Cut(value, None) for value in THRESHOLDS}
    # Few images have few pairs, and those resolve no small rate.
    resolved = [rate for rate in RATES if rate * (random.pairs + 1) >= 1]
    rules |= {f"fpr {rate:.0e}": Cut(random.threshold(rate), rate) for rate in resolved}
    return Measured(name, fingerprint, X, knn(X, GRAPH_K).csr(), rules)


def overlap(A: NDArray[np.float32], B: NDArray[np.float32], *, seed: int = 0) -> float:
    """Return the mean share of a row's 10 nearest that two spaces have in common, over a sample of the rows."""
    rows = np.random.default_rng(seed).permutation(len(A))[:SAMPLE]
    nearest = []
    for X in (A, B):
        scores = X[rows] @ X.T
        scores[np.arange(len(rows)), rows] = -np.inf
        nearest.append(np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS])
    common = [len(np.intersect1d(one, other)) for one, other in zip(*nearest, strict=True)]
    return float(np.mean(common)) / NEIGHBOURS


def fit(truth: NDArray[np.str_]) -> NDArray[np.str_]:
    """Return the classes with members to spare; raise `Unavailable` where they are fewer than a draw takes."""
    names, sizes = np.unique(truth, return_counts=True)
    least = max(EXEMPLARS) + LEAST
    found = names[(sizes >= least) & (names != BACKGROUND)]
    if len(found) < CLASSES:
        raise Unavailable(
            f"{len(found)} of {len(names)} classes have {least} images or more, and a draw takes {CLASSES}",
            "label more images",
        )
    return found


def drawn(truth: NDArray[np.str_], count: int, seed: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return three classes and the rows (3, count) of their exemplars, the same for every space and labeler.

    Raises `Unavailable` as `fit` does.
    """
    rng = np.random.default_rng([seed, count])
    chosen = tuple(sorted(str(name) for name in rng.choice(fit(truth), CLASSES, replace=False)))
    return chosen, np.stack([rng.choice(np.flatnonzero(truth == name), count, replace=False) for name in chosen])


def measured(
    space: Measured,
    truth: NDArray[np.str_],
    count: int,
    draws: int,
    seed: int,
    *,
    labelers: Sequence[str] = tuple(LABELERS),
) -> Iterator[dict[str, Any]]:
    """Yield, for each labeler and rule, mean and standard deviation over the draws."""
    for labeler in labelers:
        rules = {name: cut for name, cut in space.rules.items() if labeler not in SHARES or cut.fpr is None}
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rules}
        seconds = 0.0
        for number in range(draws):
            chosen, rows = drawn(truth, count, seed * 10_000 + number)
            known = _exemplars(space.X, chosen, rows)
            began = time.perf_counter()
            found = _labels(space, labeler, known)
            seconds += time.perf_counter() - began
            for name, cut in rules.items():
                results[name].append(_rates(at(found, cut.threshold), truth, chosen, rows))
        for name, cut in rules.items():
            yield {
                "labeler": labeler, "rule": name, "threshold": cut.threshold, "seconds": seconds / draws,
                "metrics": _summary(np.array(results[name])),
            }  # fmt: skip


def _rates(
    found: Labels, truth: NDArray[np.str_], chosen: tuple[str, ...], rows: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return precision and recall, pooled over the classes, and coverage, exemplars left out."""
    right = np.full(len(truth), -1, np.int32)
    for code, name in enumerate(chosen):
        right[truth == name] = code
    judged = np.ones(len(truth), bool)
    judged[rows.ravel()] = False
    done = beside_truth(right[judged], found.codes[judged], classes=len(chosen))
    return done.micro.precision, done.micro.recall, done.covered


def _exemplars(X: NDArray[np.float32], chosen: tuple[str, ...], rows: NDArray[np.int64]) -> Exemplars:
    codes = np.repeat(np.arange(len(chosen), dtype=np.int32), rows.shape[1])
    return Exemplars(chosen, X[rows.ravel()], codes, np.ones(rows.size, bool))


def _labels(space: Measured, labeler: str, known: Exemplars) -> Labels:
    least = RANGES[labeler][0] if labeler in SHARES else min(cut.threshold for cut in space.rules.values())
    return Rule(labeler).scored(space.X, known, threshold=least, graph=space.graph if labeler in SHARES else None)


def _summary(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return means and standard deviations; precision over the draws in which anything was labelled."""
    precision, recall, coverage = values.T
    some = precision[~np.isnan(precision)]
    return {
        "precision": float(some.mean()) if len(some) else None,
        "precision_sd": float(some.std()) if len(some) else None,
        "recall": float(recall.mean()),
        "recall_sd": float(recall.std()),
        "coverage": float(coverage.mean()),
        "draws_with_labels": len(some),
    }
