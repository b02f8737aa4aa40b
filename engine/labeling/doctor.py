"""Doctor: which spaces separate the labels one has, how sure that is, and what a threshold means there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace, FingerprintMismatch
from engine.fused import matrix_of
from engine.labeling import labels
from engine.labeling.agreed import agreed
from engine.labeling.diagnosis import Diagnosis, Measured
from engine.neighbors.dedupe import THRESHOLD as DUPLICATE
from engine.progress import Progress, Silent
from engine.retrieval.background import background
from engine.store import Space, Store, VectorCache
from engine.store.vectors import id_array
from labelers.bootstrap import Difference, paired_difference
from labelers.separation import near_duplicates, separation

# Those whose word counts; what a run labelled says nothing of the space that it came from.
SOURCES = ("human", "exemplar", "given")
NEIGHBOURS = 10
# Labelled images that are measured; of more, so many are drawn.
MOST = 20_000
# With fewer a share moves by three points and more with each image.
FEW = 30
# Classes that a warning names.
NAMED = 5
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
    ids, opened, unusable = id_array(known["id"]), *_opened(store, spaces)
    positions = [vectors.positions(ids) for _, vectors in opened]
    sample = _sample(known["label"], positions, [space.name for space, _ in opened])
    progress.begin("measuring the spaces", len(opened) * len(sample.rows))
    measured = []
    for (space, vectors), places in zip(opened, positions, strict=True):
        measured.append(_measured(store, space, vectors, places, sample, precision))
        progress.advance(len(sample.rows))
    ranking = sorted(measured, key=lambda one: -one.separation.knn_agreement)
    recommended, difference = _recommended(ranking, sample.codes)
    return Diagnosis(
        ("truth",) if truth else tuple(sources),
        len(sample.rows),
        len(sample.rows) / max(1, store.images.count()),
        sample.sizes,
        sample.k,
        precision,
        ranking,
        recommended,
        difference,
        [*unusable, *_warnings(sample, conflicting, measured)],
    )


@dataclass(frozen=True)
class _Sample:
    """The labelled images that are measured: `rows` (s,) among all of them, of classes `codes` int32 (s,).

    `small` are the classes that are left out.
    """

    rows: NDArray[np.int64]
    codes: NDArray[np.int32]
    classes: list[str]
    small: list[str]

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many images each class has."""
        found, counts = np.unique(self.codes, return_counts=True)
        return {self.classes[code]: int(count) for code, count in zip(found, counts, strict=True)}

    @property
    def k(self) -> int:
        """Return how many neighbours can all be of a row's class, whichever that is."""
        return min(NEIGHBOURS, min(self.sizes.values()) - 1)


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


def _opened(store: Store, named: Sequence[str]) -> tuple[list[tuple[Space, VectorCache]], list[str]]:
    """Return the spaces with their vectors, and why others are left out; one that was named must be there."""
    everything = [store.space(name) for name in dict.fromkeys(named)] if named else store.spaces().values()
    opened, unusable = [], []
    for space in everything:
        try:
            vectors = matrix_of(store, space)
            if len(vectors) == 0:
                raise EmptySpace(f"no vectors in space {space.name!r}", space.remedy)
            opened.append((space, vectors))
        except (EmptySpace, FingerprintMismatch) as error:
            if named:
                raise
            unusable.append(str(error))
    return opened, unusable


def _sample(column: pa.ChunkedArray, positions: Sequence[NDArray[np.int64]], names: Sequence[str]) -> _Sample:
    """Return the images with a label that every space has a vector of, less those of classes of one image."""
    classes, codes = _encoded(column)
    everywhere = np.ones(len(codes), bool)
    for places in positions:
        everywhere &= places >= 0
    rows = np.flatnonzero(everywhere)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, MOST, replace=False))
    large = np.bincount(codes[rows], minlength=1) >= 2
    if np.count_nonzero(large) < 2:
        raise BadInput(
            f"{len(codes)} labelled images, {len(rows)} of them with a vector in {', '.join(names) or 'any space'}: "
            f"{np.count_nonzero(large)} classes of two images or more, and two are needed",
            "label more: engine label --exemplar CLASS=IMAGE or engine labels set IMAGE CLASS; or leave a space out: "
            "--space NAME; or use labels kept for evaluation: --truth",
        )
    rows = rows[large[codes[rows]]]
    small = [name for name, kept in zip(classes, large, strict=False) if not kept] + classes[len(large) :]
    return _Sample(rows, codes[rows], classes, small)


def _warnings(sample: _Sample, conflicting: int, measured: Sequence[Measured]) -> list[str]:
    few = ", ".join(sample.small[:NAMED]) + (f" and {len(sample.small) - NAMED} more" * (len(sample.small) > NAMED))
    found = {
        f"images left out because several labels count alike: {conflicting}; see engine labels": conflicting,
        f"classes left out because fewer than two of their images can be measured: {few}": len(sample.small),
        f"{len(sample.rows)} labelled images are few: figures change with every label more": len(sample.rows) < FEW,
    }
    alike = [name for name in sample.classes if all(name in one.alike for one in measured)]
    return [text for text, number in found.items() if number] + [
        f"all images of {name} are near duplicates (every pair >= {DUPLICATE}): they say little of others"
        for name in alike
    ]


def _measured(
    store: Store,
    space: Space,
    vectors: VectorCache,
    places: NDArray[np.int64],
    sample: _Sample,
    precision: float,
) -> Measured:
    X = np.asarray(vectors.matrix[places[sample.rows]], np.float32)
    found = separation(X, sample.codes, k=sample.k, precision=precision, seed=SEED)
    needed = found.needed.threshold
    return Measured(
        space.name,
        space.fingerprint,
        space.dim,
        space.encoder == "fused",
        space.encoder == "user",
        float(np.mean(places >= 0)),
        found,
        np.nan if np.isnan(needed) else float(background(store, space, vectors).fpr(np.array([needed]))[0]),
        tuple(sample.classes[code] for code in near_duplicates(X, sample.codes, threshold=DUPLICATE)),
    )


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
