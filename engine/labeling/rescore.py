"""The scores of a label run for every image, also for those it rejected: its labeler is asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import EngineError
from engine.fused import matrix_of
from engine.retrieval.mixed import searched_space
from engine.store import ID_BYTES, Store, VectorCache
from labelers import LABELERS, Exemplars, Labels, centroid, nearest
from labelers.base import Gathered

# Those whose score of an image rests on the exemplars alone.
RESCORED = ("nearest", "centroid", "vote")
# Those of them with a score in every class.
BY_CLASS = ("nearest", "centroid")
# Scores of images in classes held at a time.
SCORES = 2**26
# Sums that were taken in another order.
SAME = 1e-6


@dataclass(frozen=True)
class Rescorer:
    """A run's labeler and exemplars over the images with a vector, `here` bool (n,) among those asked for."""

    labeler: str
    options: dict[str, Any]
    exemplars: Exemplars
    X: Gathered
    here: NDArray[np.bool_]

    @classmethod
    def open(cls, store: Store, details: Mapping[str, Any], ids: NDArray[np.uint8]) -> Rescorer:
        """Return who scores the images `ids` (n, 32) as the run with these `details` did.

        Raises `ValueError` or an `EngineError` with the reason why nobody can.
        """
        labeler = details["labeler"]
        if labeler not in RESCORED:
            raise ValueError(f"what {labeler} rejected has no score")
        space = searched_space(store, details["space"])
        if space.fingerprint != details["fingerprint"]:
            raise ValueError(f"space {space.name} is {space.fingerprint} now, in the run {details['fingerprint']}")
        vectors = matrix_of(store, space)
        places = vectors.positions(ids)
        options = {"margin": details.get("margin") or 0.0}
        if labeler == "vote" and details.get("k"):
            options["k"] = details["k"]
        here = places >= 0
        return cls(labeler, options, _exemplars(details, vectors), Gathered(vectors.matrix, places[here]), here)

    def labels(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return each image's best class and its score, at a threshold of −1: −1 and −inf where it has no label."""
        module, _, name = LABELERS[self.labeler].partition(":")
        label = getattr(import_module(module), name)
        found: Labels = label(self.X, self.exemplars, threshold=-1.0, **self.options)
        answered = found.codes >= 0
        return self._every(found.codes, -1), self._every(np.where(answered, found.scores, -np.inf), -np.inf)

    def class_scores(self) -> Iterator[NDArray[np.float32]]:
        """Yield the scores (n,) of the images in each class, whichever is their best."""
        known = centroid.means(self.exemplars) if self.labeler == "centroid" else self.exemplars
        at_once = max(1, SCORES // max(len(self.here), 1))
        for start in range(0, len(known.classes), at_once):
            for scores in nearest.class_scores(self.X, _of_classes(known, start, start + at_once)):
                yield self._every(scores, -np.inf)

    def _every(self, values: NDArray[Any], otherwise: float) -> NDArray[Any]:
        """Return a value for all images from those of the images with a vector."""
        spread = np.full(len(self.here), otherwise, values.dtype)
        spread[self.here] = values
        return spread


@dataclass(frozen=True)
class Scored:
    """The class `best` int32 (n,) that each image is answered with and its score, −inf where it is answered never.

    `complete`: what the run rejected is scored too. `note` says why not, or what is amiss; empty where nothing is.
    """

    best: NDArray[np.int32]
    scores: NDArray[np.float64]
    classes: int
    note: str = ""
    rescorer: Rescorer | None = None

    @property
    def complete(self) -> bool:
        return self.rescorer is not None

    def answered(self, code: int) -> NDArray[np.float64]:
        """Return the scores of the images that are answered with a class; the others are so at no threshold."""
        return np.where(self.best == code, self.scores, -np.inf)

    def each(self) -> Iterator[NDArray[np.floating]]:
        """Yield for each class the scores by which images are ranked: cosines where a class has one with every image.

        Otherwise (votes, or a run that cannot be scored again) those of the images that are answered with it.
        """
        if self.rescorer is not None and self.rescorer.labeler in BY_CLASS:
            yield from self.rescorer.class_scores()
        else:
            yield from map(self.answered, range(self.classes))


def scored(
    store: Store,
    details: Mapping[str, Any],
    ids: NDArray[np.uint8],
    answer: NDArray[np.int32],
    scores: NDArray[np.float64],
) -> Scored:
    """Return the scores of the images `ids` (n, 32), of which the run wrote `answer` (n,) with `scores` (n,).

    Where they cannot be found out again, those of the run stand alone.
    """
    classes, written = len(details["classes"]), answer >= 0
    try:
        rescorer = Rescorer.open(store, details, ids)
        best, again = rescorer.labels()
        same = best == answer
        same[written] &= np.abs(again[written] - scores[written]) <= SAME
        if not same[written].all():
            raise ValueError(f"{np.count_nonzero(~same & written)} labels of the run would be others now")
    except (ValueError, EngineError) as reason:
        return Scored(answer, scores, classes, f"curves stop at the threshold: {reason}")
    # Images that came after the run, or that its condition left out.
    unseen = ~written & (again >= _thresholds(details)[best])
    note = f"{np.count_nonzero(unseen)} images meet the threshold that the run did not label" if unseen.any() else ""
    return Scored(best, np.where(unseen, -np.inf, again), classes, note, rescorer)


def exemplar_ids(details: Mapping[str, Any]) -> NDArray[np.uint8]:
    """Return the ids (m, 32) of the run's exemplars, negative ones included."""
    return _ids([image for _, _, image in _given(details)])


def _given(details: Mapping[str, Any]) -> list[tuple[str, bool, str]]:
    """Return (class, polarity, id in hex) of each exemplar."""
    return [
        (name, polarity, image)
        for key, polarity in (("exemplars", True), ("not", False))
        for name, images in (details.get(key) or {}).items()
        for image in images
    ]


def _exemplars(details: Mapping[str, Any], vectors: VectorCache) -> Exemplars:
    classes, given = tuple(details["classes"]), _given(details)
    places = vectors.positions(exemplar_ids(details))
    # One without a vector in the space was none to the run either.
    here = places >= 0
    codes = np.array([classes.index(name) for name, _, _ in given], np.int32)
    polarity = np.array([polarity for _, polarity, _ in given], bool)
    return Exemplars(classes, vectors.matrix[places[here]], codes[here], polarity[here])


def _thresholds(details: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the threshold of each class, and last of none, which nothing meets."""
    asked, classes = details["threshold"], details["classes"]
    least = [asked[name] for name in classes] if isinstance(asked, Mapping) else np.broadcast_to(asked, len(classes))
    return np.append(np.asarray(least, np.float64), np.inf)


def _ids(digits: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(digits)), np.uint8).reshape(-1, ID_BYTES)


def _of_classes(known: Exemplars, start: int, end: int) -> Exemplars:
    some = (known.codes >= start) & (known.codes < end)
    classes = known.classes[start:end]
    return Exemplars(classes, known.matrix[some], (known.codes[some] - start).astype(np.int32), known.polarity[some])
