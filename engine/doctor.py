"""Doctor: which spaces separate the labels one has, how sure that is, and what a threshold means there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine import labels
from engine.agreed import agreed
from engine.background import background
from engine.dedupe import THRESHOLD as DUPLICATE
from engine.diagnosis import Diagnosis, Measured
from engine.errors import BadInput, EmptySpace, FingerprintMismatch
from engine.fused import matrix_of
from engine.progress import Progress, Silent
from engine.store import Space, Store, VectorCache
from engine.store.vectors import id_array
from labelers.bootstrap import Difference, paired_difference
from labelers.separation import near_duplicates, separation

# Those whose word counts; what a run labelled says nothing of the space that it came from.
SOURCES = ("human", "exemplar", "given")
NEIGHBOURS = 10
# Labelled images that are measured; of more, so many are drawn.
MOST = 20_000
SEED = 0


def doctor(
    store: Store,
    *,
    spaces: Sequence[str] = (),
    sources: Sequence[str] = SOURCES,
    truth: bool = False,
    precision: float = 0.95,
    progress: Progress | None = None,
) -> Diagnosis:
    """Return how well each space (default: all) separates the labels of `sources`, or with `truth` those kept for it.

    All spaces are measured on the same images: those with a label and a vector in every one of them; of more than
    20,000 as many are drawn. Raises `BadInput` for what cannot be asked, and for fewer than two classes of two images.
    """
    _check(sources, precision)
    progress = progress or Silent()
    said = labels.truth(store) if truth else labels.statements(store, sources)
    known, conflicting = agreed(said if truth else said.filter(said["polarity"]))
    warnings = [] if not conflicting else [
        f"{conflicting} images have several labels that count alike and were left out: engine labels shows them"
    ]  # fmt: skip
    ids, classes, codes = id_array(known["id"]), *_encoded(known["label"])
    opened = list(_opened(store, spaces, warnings))
    positions = [vectors.positions(ids) for _, vectors in opened]
    rows, few = _measurable(codes, positions, [space.name for space, _ in opened])
    if few:
        warnings.append(f"{few} classes were left out: fewer than two of their images can be measured")
    own = codes[rows]
    k = min(NEIGHBOURS, int(np.bincount(own)[np.unique(own)].min()) - 1)
    progress.begin("measuring the spaces", len(opened) * len(rows))
    measured = []
    for (space, vectors), places in zip(opened, positions, strict=True):
        measured.append(_measured(store, space, vectors, places, rows, own, classes, k, precision))
        progress.advance(len(rows))
    ranking = sorted(measured, key=lambda one: -one.separation.knn_agreement)
    recommended, difference = _recommended(ranking, own)
    warnings += [
        f"all images of {name} are near duplicates (every pair >= {DUPLICATE}): they say little of others"
        for name in classes
        if all(name in one.alike for one in measured)
    ]
    sizes = {classes[code]: int(count) for code, count in zip(*np.unique(own, return_counts=True), strict=True)}
    return Diagnosis(
        ("truth",) if truth else tuple(sources), len(rows), sizes, k, precision, ranking, recommended, difference,
        warnings,
    )  # fmt: skip


def _check(sources: Sequence[str], precision: float) -> None:
    unknown = [source for source in sources if source not in SOURCES]
    if unknown or not sources:
        raise BadInput(f"--labels {','.join(sources)} is not known", f"one or more of: {','.join(SOURCES)}")
    if not 0 < precision <= 1:
        raise BadInput(f"the precision is {precision}", "it lies above 0 and is at most 1: --precision 0.95")


def _encoded(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int32]]:
    """Return the classes in the order of their names, and the place of each label among them."""
    names = sorted(pc.unique(column).to_pylist())
    codes = pc.index_in(column, value_set=pa.array(names, pa.string()))
    return names, codes.to_numpy(zero_copy_only=False).astype(np.int32)


def _opened(store: Store, named: Sequence[str], warnings: list[str]) -> Iterator[tuple[Space, VectorCache]]:
    """Yield the spaces with their vectors; one that was not named and cannot be used is left out with a warning."""
    everything = [store.space(name) for name in dict.fromkeys(named)] if named else store.spaces().values()
    for space in everything:
        try:
            vectors = matrix_of(store, space)
            if len(vectors) == 0:
                raise EmptySpace(f"no vectors in space {space.name!r}", space.remedy)
        except (EmptySpace, FingerprintMismatch) as error:
            if named:
                raise
            warnings.append(str(error))
            continue
        yield space, vectors


def _measurable(
    codes: NDArray[np.int32], positions: Sequence[NDArray[np.int64]], names: Sequence[str]
) -> tuple[NDArray[np.int64], int]:
    """Return the rows that every space can be measured on, and how many classes are too small for it."""
    everywhere = np.ones(len(codes), bool)
    for places in positions:
        everywhere &= places >= 0
    rows = np.flatnonzero(everywhere)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, MOST, replace=False))
    counts = np.bincount(codes[rows], minlength=1)
    large = counts >= 2
    if np.count_nonzero(large) < 2:
        raise BadInput(
            f"{len(codes)} labelled images, {len(rows)} of them with a vector in {', '.join(names) or 'any space'}: "
            f"{np.count_nonzero(large)} classes of two images or more, and two are needed",
            "label more: engine label --exemplar CLASS=IMAGE or engine labels set IMAGE CLASS; or leave a space out: "
            "--space NAME; or use labels kept for evaluation: --truth",
        )
    return rows[large[codes[rows]]], len(np.unique(codes)) - int(np.count_nonzero(large))


def _measured(
    store: Store,
    space: Space,
    vectors: VectorCache,
    places: NDArray[np.int64],
    rows: NDArray[np.int64],
    codes: NDArray[np.int32],
    classes: Sequence[str],
    k: int,
    precision: float,
) -> Measured:
    X = np.asarray(vectors.matrix[places[rows]], np.float32)
    found = separation(X, codes, k=k, precision=precision, seed=SEED)
    needed = found.needed.threshold
    rate = np.nan if np.isnan(needed) else float(background(store, space, vectors).fpr(np.array([needed]))[0])
    alike = tuple(classes[code] for code in near_duplicates(X, codes, threshold=DUPLICATE))
    coverage = float(np.mean(places >= 0))
    return Measured(space.name, space.fingerprint, space.dim, space.encoder == "fused", coverage, found, rate, alike)


def _recommended(ranking: Sequence[Measured], codes: NDArray[np.int32]) -> tuple[str, Difference | None]:
    """Return the best space, and how far the second is behind.

    Among those whose difference to the best is within its uncertainty one that is not fused is preferred, then the
    one that finds most at the precision asked for.
    """
    best = ranking[0].separation
    gaps = [paired_difference(best.shares, one.separation.shares, codes[best.rows], seed=SEED) for one in ranking[1:]]
    alike = [ranking[0], *(one for one, gap in zip(ranking[1:], gaps, strict=True) if not gap.certain)]
    chosen = min(alike, key=lambda one: (one.fused, -np.nan_to_num(one.separation.needed.recall)))
    return chosen.space, gaps[0] if gaps else None
