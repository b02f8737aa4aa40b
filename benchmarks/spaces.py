"""The spaces that suites compare: how the vectors of each come into a store, and what is lacking where they cannot."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import stores
from benchmarks.datasets import Unavailable
from benchmarks.subject import Subject
from engine import encoders, fused
from engine.errors import EngineError
from engine.progress import Progress
from engine.store import Store
from engine.store.table import in_list
from engine.store.vectors import unit

PIXELS = "pixels"
SIDE, AXES = 32, 128
# So many training pictures decide the axes.
FITTED = 10_000
BATCH = 1000
# The space of the bundled network, and the others by the encoder that fills them.
ENCODERS = {"efficientnet_lite0": stores.NETWORK, "resnet": "resnet50", "clip": "clip:ViT-B-32/laion2b_s34b_b79k"}


@dataclass(frozen=True)
class View:
    """A subject in one space. `places` int64 (n,) says which row of `matrix` (unit, float32) is whose."""

    subject: Subject
    space: str
    fingerprint: str
    matrix: NDArray[np.float32]
    places: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of rows of the subject, float32 (len(rows), dim)."""
        return np.asarray(self.matrix[self.places[rows]])

    def facts(self) -> dict[str, Any]:
        """Return what a row says of data and space."""
        return {
            "split": self.subject.split,
            "space": self.space,
            "fingerprint": self.fingerprint,
            "pixels": self.subject.found.pixels,
            "store_version": self.subject.store.versions(),
        }


def view(subject: Subject, space: str, progress: Progress) -> View:
    """Return a subject in the space of that name; raise `Unavailable` with what is lacking and what to do."""
    if space == PIXELS:
        return _pixels(subject)
    if subject.found.store is None and space not in subject.store.spaces():
        FILLED.get(space, _unknown)(subject, space, progress)
    return _stored(subject, space)


def _stored(subject: Subject, space: str) -> View:
    try:
        known = subject.store.space(space)
        vectors = fused.matrix_of(subject.store, known)
    except EngineError as error:
        raise Unavailable(error.message, error.remedy) from error
    places = vectors.positions(subject.ids)
    if lacking := int(np.count_nonzero(places < 0)):
        raise Unavailable(f"{lacking} of {len(places)} images have no vector in space {space!r}", known.remedy)
    return View(subject, space, known.fingerprint, vectors.matrix, places)


def _encoded(encoder: str, subject: Subject, space: str, progress: Progress) -> None:
    state = encoders.available(encoder)
    if not state.ok:
        raise Unavailable(f"{encoder}: {state.reason}", state.remedy)
    stores.embed(subject.found, subject.store, encoder, progress)


def _unknown(subject: Subject, space: str, progress: Progress) -> None:
    raise Unavailable(f"there is no space {space!r}", f"one of: {', '.join([PIXELS, *FILLED])}")


FILLED: Mapping[str, Callable[[Subject, str, Progress], None]] = {
    **{space: partial(_encoded, encoder) for space, encoder in ENCODERS.items()},
}


def _pixels(subject: Subject) -> View:
    """Return pictures at 32 × 32 on their first 128 principal axes, those of the training split where there is one."""
    recipe = f"{SIDE} {AXES} {FITTED} {subject.data}"
    fingerprint = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    kept = subject.folder / f"pixels-{fingerprint}.npy"
    if not kept.exists():
        rows = np.flatnonzero(subject.train) if subject.train.any() else np.arange(len(subject.ids))
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:FITTED])
        mean, axes = principal_axes(thumbnails(subject.store, subject.ids[rows]), AXES)
        blocks = [
            (thumbnails(subject.store, subject.ids[start : start + BATCH]) - mean) @ axes
            for start in range(0, len(subject.ids), BATCH)
        ]
        _keep(unit(np.concatenate(blocks), PIXELS), kept)
    return View(subject, PIXELS, fingerprint, np.load(kept, mmap_mode="r"), np.arange(len(subject.ids)))


def _keep(X: NDArray[np.float32], path: Path) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with scratch.open("wb") as file:
        np.save(file, X)
    os.replace(scratch, path)


def thumbnails(store: Store, ids: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.float32]:
    """Return the pixels of pictures shrunk to `side` × `side`, float32 (n, 3·side²), in the order of `ids` (n, 32)."""
    from PIL import Image

    wanted = [one.tobytes() for one in ids]
    small: list[NDArray[np.float32]] = []
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        found = {one["id"]: one["thumbnail"] for one in store.thumbnails.rows(where=in_list("id", some))}
        pictures = (Image.open(BytesIO(found[one])).convert("RGB").resize((side, side)) for one in some)
        small += [np.asarray(one, np.float32).ravel() for one in pictures]
    return np.stack(small)


def principal_axes(pixels: NDArray[np.float32], axes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean (d,) of rows (n, d) and their first principal axes (d, ≤ axes), the largest variance first."""
    from scipy.linalg import eigh

    mean = pixels.mean(axis=0)
    centred = pixels - mean
    n, d = centred.shape
    # The products of rows and those of columns have the same spectrum, but for zeros: the smaller side is solved.
    few = n < d
    products = centred @ centred.T if few else centred.T @ centred
    last = len(products) - 1
    values, vectors = eigh(products, subset_by_index=[max(0, last - axes + 1), last])
    vectors = vectors[:, values > values[-1] * 1e-6][:, ::-1]
    if few:
        vectors = centred.T @ vectors
        vectors /= np.linalg.norm(vectors, axis=0)
    return mean, np.ascontiguousarray(vectors, np.float32)


def chosen(asked: Sequence[str], subject: Subject, default: Sequence[str]) -> Sequence[str]:
    """Return the spaces to look at: those asked for, else the suite's own, else for a user's store what it has."""
    if asked:
        return asked
    return default if subject.found.store is None else [PIXELS, *subject.store.spaces()]
