"""The floor: pictures at 32 × 32 on their first principal axes, without any network."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from benchmarks.subjects.subject import Subject
from benchmarks.subjects.views import How, View, digest, kept
from engine.store import Store
from engine.store.table import in_list
from engine.store.vectors import unit

PIXELS = "pixels"
SIDE, AXES = 32, 128
# So many training pictures decide the axes.
FITTED = 10_000
BATCH = 1000


def pixels(subject: Subject, space: str, how: How) -> View:
    """Return a subject on 128 axes, those of its training split where there is one."""
    fingerprint = digest(f"{SIDE} {AXES} {FITTED} {subject.data}")
    path = subject.folder / f"{space}-{fingerprint}.npy"
    return View(subject, space, fingerprint, partial(kept, path, partial(_reduced, subject)))


def _reduced(subject: Subject) -> NDArray[np.float32]:
    rows = np.flatnonzero(subject.train) if subject.train.any() else np.arange(len(subject.ids))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[:FITTED])
    mean, axes = principal_axes(thumbnails(subject.store, subject.ids[rows]), AXES)
    blocks = [
        (thumbnails(subject.store, subject.ids[start : start + BATCH]) - mean) @ axes
        for start in range(0, len(subject.ids), BATCH)
    ]
    return unit(np.concatenate(blocks), PIXELS)


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
