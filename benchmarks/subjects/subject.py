"""A data set as the suites look at it: images with truth in one order, classes as codes, splits, vectors of spaces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.datasets import Found, Unavailable
from engine.labeling.agreed import agreed
from engine.labeling.labels import statements, truth
from engine.store import Store
from engine.store.vectors import id_array, sort_key

WHOLE, TRAIN, TEST = "all", "train", "test"


@dataclass(frozen=True)
class Subject:
    """The images of a store that have a class that counts, in the order of their ids, which no ingest changes.

    `codes` int32 (n,) index `classes`; `test` and `train` are masks (n,), both empty where there are no splits.
    """

    found: Found
    store: Store
    ids: NDArray[np.uint8]
    codes: NDArray[np.int32]
    classes: Sequence[str]
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Return the rows that are looked at: those of the test split, or all."""
        return np.flatnonzero(self.test) if self.test.any() else np.arange(len(self.ids))

    @property
    def split(self) -> str:
        return TEST if self.test.any() else WHOLE

    @cached_property
    def data(self) -> str:
        """Return what tells these images, labels and splits from others."""
        parts = (self.ids, self.codes, self.train, self.test)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(one).tobytes() for one in parts))
        return digest.hexdigest()[:12]

    @property
    def folder(self) -> Path:
        """Return where what was derived from the store's pictures is kept: beside it, or in its cache."""
        return self.store.cache if self.found.store is not None else self.store.path.parent


def subject(found: Found, store: Store) -> Subject:
    """Return the images of a store that have one class by truth, else by labels that count; raise `Unavailable`."""
    labels = _labels(store)
    names = labels["label"].to_numpy(zero_copy_only=False).astype(str)
    counts = ~np.isin(names, list(found.left_out))
    if found.kept:
        counts &= np.isin(names, list(found.kept))
    ids = id_array(labels["id"])[counts]
    order = np.argsort(sort_key(ids), kind="stable")
    classes, codes = np.unique(names[counts][order], return_inverse=True)
    if len(classes) < 2:
        raise Unavailable(
            f"{store.path} has images of {len(classes)} classes", "label it: engine ingest SOURCE --labels FILE"
        )
    splits = {split: _of_split(store, ids[order], split) for split in (TRAIN, TEST)}
    return Subject(found, store, ids[order], codes.astype(np.int32), [str(one) for one in classes], **splits)


def _labels(store: Store) -> pa.Table:
    """Return id and label, each image once: its truth if it has one, else what people and the data say of it."""
    known = truth(store).select(["id", "label"])
    said, _ = agreed(statements(store, ("human", "exemplar", "given")).filter(_is_class()))
    fresh = ~np.isin(sort_key(id_array(said["id"])), sort_key(id_array(known["id"])))
    return pa.concat_tables([known, said.filter(pa.array(fresh)).cast(known.schema)])


def _is_class() -> Any:
    import pyarrow.compute as pc

    return pc.field("polarity") == pa.scalar(True)


def _of_split(store: Store, ids: NDArray[np.uint8], split: str) -> NDArray[np.bool_]:
    # One image may be a member of both splits.
    members = store.members.read(["image"], f"image IS NOT NULL AND removed IS NULL AND split = '{split}'")
    return np.isin(sort_key(ids), sort_key(id_array(members["image"])))
