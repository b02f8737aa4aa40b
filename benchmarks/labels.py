"""Labels by exemplars: precision and recall of every labeler, over draws of classes and exemplars, in two spaces.

Each draw takes three classes and some exemplars of each; every other image is to be labelled with one of them or not at
all, those of `BACKGROUND_Google` among them. Truth is looked at only afterwards. The spaces are the bundled network's
and one without any network, of 32 × 32 pixels, which errs on other images.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data import Dataset, Datasets
from benchmarks.labels_report import draw, markdown
from benchmarks.suites import Settings, row
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_rule import RANGES, SHARES, Cut, Rule
from engine.labeling.label_scan import at
from engine.neighbors.graph import graph
from engine.progress import Progress
from engine.retrieval.background import background
from engine.store import Space, Store
from engine.store.table import in_list
from engine.store.vectors import unit, vector_rows
from labelers import LABELERS, Exemplars, Labels
from labelers.metrics import report

NETWORK, PIXELS = "efficientnet_lite0", "pixels"
DRAWS, QUICK_DRAWS, CLASSES, EXEMPLARS = 20, 3, 3, (1, 3)
THRESHOLDS, RATES = (0.7, 0.75, 0.8), (1e-3, 1e-4, 1e-5)
BACKGROUND = "BACKGROUND_Google"
# Members that a class must have beside its exemplars, so that recall is a share of something.
LEAST = 5
SIDE, AXES = 32, 128
NEIGHBOURS, SAMPLE = 10, 1000
BATCH = 1000


@dataclass(frozen=True)
class Measured:
    """A space as the labelers see it: unit rows, the graph of neighbours, and the cut that each rule means there."""

    name: str
    X: NDArray[np.float32]
    graph: Any
    rules: dict[str, Cut]


def run(settings: Settings, progress: Progress) -> Iterator[dict[str, Any]]:
    """Yield a row for each space, labeler, rule and number of exemplars; write NAME.md and NAME.png."""
    dataset = Datasets(settings.data).caltech101()
    if dataset.note:
        progress.note(dataset.note)
    with tempfile.TemporaryDirectory(dir=settings.output) as folder:
        store = _store(dataset, Path(folder) / "store", progress)
        spaces, truth = _spaces(store), _truth(store, dataset)
    shared = overlap(spaces[0].X, spaces[1].X, seed=settings.seed)
    note = f"10-NN overlap of the spaces {shared:.3f}, chance {NEIGHBOURS / (len(truth) - 1):.4f}"
    if len(spaces[0].rules) < len(THRESHOLDS) + len(RATES):
        note += f"; {len(truth)} images have too few pairs for the smallest rates"
    progress.note(note)
    draws = QUICK_DRAWS if settings.quick else DRAWS
    rows = []
    for one in spaces:
        for count in EXEMPLARS:
            progress.note(f"{one.name}, {count} a class: {draws} draws")
            for found in measured(one, truth, count, draws, settings.seed):
                rows.append(_row(dataset, one, count, draws, settings.seed, found, note))
                yield rows[-1]
    (settings.output / f"{dataset.name}.md").write_text(markdown(rows, dataset.note, note))
    draw(rows, settings.output / f"{dataset.name}.png")
    progress.note(f"written: {settings.output}/{dataset.name}.md, {dataset.name}.png")


def _row(
    dataset: Dataset, space: Measured, count: int, draws: int, seed: int, found: dict[str, Any], note: str
) -> dict[str, Any]:
    params = {"rule": found["rule"], "exemplars": count, "draws": draws, "threshold": found["threshold"]}
    return row(
        "labels", dataset.name, found["labeler"], params=params, metrics=found["metrics"], seconds=found["seconds"],
        seed=seed, space=space.name, note="; ".join(filter(None, [note, dataset.note])),
    )  # fmt: skip


def _store(dataset: Dataset, path: Path, progress: Progress) -> Store:
    """Return the data set ingested with the bundled network, and its pixels as vectors that somebody brought."""
    intake(path, Request([str(dataset.source)], encoders=[NETWORK]), progress=progress)
    store = Store.open(path)
    ids = [one.tobytes() for one in store.vectors(store.space(NETWORK)).ids]
    rows = reduced(np.concatenate([_thumbnails(store, ids[at : at + BATCH]) for at in range(0, len(ids), BATCH)]))
    with store.run("ingest", {"vectors": PIXELS, "spaces": [PIXELS]}) as made:
        space = store.declare(Space(PIXELS, "0" * 12, rows.shape[1], "user"), made.name)
        for start in range(0, len(ids), BATCH):
            part = unit(rows[start : start + BATCH], PIXELS)
            store.vectors_table(space).merge(vector_rows(ids[start : start + BATCH], part))
    return store


def _thumbnails(store: Store, ids: Sequence[bytes]) -> NDArray[np.float32]:
    """Return the pixels of pictures shrunk to 32 × 32, float32 (n, 3072)."""
    found = {one["id"]: one["thumbnail"] for one in store.thumbnails.rows(where=in_list("id", list(ids)))}
    small = (Image.open(BytesIO(found[one])).convert("RGB").resize((SIDE, SIDE)) for one in ids)
    return np.stack([np.asarray(one, np.float32).ravel() for one in small])


def reduced(pixels: NDArray[np.float32], axes: int = AXES) -> NDArray[np.float32]:
    """Return the rows on their first principal axes (n, axes), the mean taken away."""
    centred = pixels - pixels.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.ascontiguousarray(centred @ directions[:, ::-1][:, :axes])


def _spaces(store: Store) -> list[Measured]:
    """Return both spaces in memory, rows in one order."""
    order = np.sort(store.vectors(store.space(NETWORK)).ids.view("S32").ravel()).view(np.uint8).reshape(-1, 32)
    return [_space(store, store.space(name), order) for name in (NETWORK, PIXELS)]


def _space(store: Store, space: Space, ids: NDArray[np.uint8]) -> Measured:
    made = graph(store, space.name)
    places = made.vectors.positions(ids)
    random = background(store, space, made.vectors)
    rules = {f"at {value:g}": Cut(value, None) for value in THRESHOLDS}
    # Few images have few pairs, and those resolve no small rate.
    resolved = [rate for rate in RATES if rate * (random.pairs + 1) >= 1]
    rules |= {f"fpr {rate:.0e}": Cut(random.threshold(rate), rate) for rate in resolved}
    whole = made.knn.csr()[places][:, places].tocsr()
    return Measured(space.name, np.asarray(made.vectors.matrix[places]), whole, rules)


def _truth(store: Store, dataset: Dataset) -> NDArray[np.str_]:
    """Return the class of each row, in the order of `_spaces`."""
    classes = dataset.classes()
    names = store.members.rows(["name", "image"], "image IS NOT NULL")
    known = {one["image"]: classes[one["name"]] for one in names}
    return np.array([known[image] for image in sorted(known)])


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


def drawn(truth: NDArray[np.str_], count: int, seed: int) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return three classes and the rows (3, count) of their exemplars, the same for every space and labeler."""
    names, sizes = np.unique(truth, return_counts=True)
    rng = np.random.default_rng([seed, count])
    fit = names[(sizes >= max(EXEMPLARS) + LEAST) & (names != BACKGROUND)]
    chosen = tuple(sorted(str(name) for name in rng.choice(fit, CLASSES, replace=False)))
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
    done = report(right[judged], found.codes[judged], classes=len(chosen))
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
