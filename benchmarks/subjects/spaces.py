"""The spaces that suites compare, and where the vectors of each come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from importlib import import_module

import numpy as np

from benchmarks.datasets import Unavailable
from benchmarks.subjects import stores
from benchmarks.subjects.pixels import PIXELS
from benchmarks.subjects.subject import Subject
from benchmarks.subjects.views import How, Placed, View, digest
from engine import encoders, fused
from engine.errors import BadInput, EngineError

# Each is a function (subject, space, how) -> View that raises `Unavailable`.
SPACES = {
    "pixels": "benchmarks.subjects.pixels:pixels",
    "efficientnet_lite0": "benchmarks.subjects.spaces:encoded",
    "autoencoder": "benchmarks.subjects.learnt:autoencoder",
    "autoencoder_head": "benchmarks.subjects.learnt:with_head",
    "fused": "benchmarks.subjects.learnt:fused",
    "resnet": "benchmarks.subjects.spaces:encoded",
    "clip": "benchmarks.subjects.spaces:encoded",
}
ENCODERS = {"efficientnet_lite0": stores.NETWORK, "resnet": "resnet50", "clip": "clip:ViT-B-32/laion2b_s34b_b79k"}


def view(subject: Subject, space: str, how: How) -> View:
    """Return a subject in the space of that name; raise `Unavailable` with what is lacking and what to do."""
    if space != PIXELS and subject.found.store is not None:
        return stored(subject, space)
    if space not in SPACES:
        raise Unavailable(f"there is no space {space!r}", f"one of: {', '.join(SPACES)}")
    module, _, name = SPACES[space].partition(":")
    make: Callable[[Subject, str, How], View] = getattr(import_module(module), name)
    return make(subject, space, how)


def stored(subject: Subject, space: str) -> View:
    """Return a subject in a space that its store has."""
    try:
        known = subject.store.space(space)
        vectors = fused.matrix_of(subject.store, known)
    except EngineError as error:
        raise Unavailable(error.message, error.remedy) from error
    places = vectors.positions(subject.ids)
    if lacking := int(np.count_nonzero(places < 0)):
        raise Unavailable(f"{lacking} of {len(places)} images have no vector in space {space!r}", known.remedy)
    fingerprint = known.fingerprint
    if subject.found.store is not None:
        # Vectors that were brought have the fingerprint of their space, whatever they are.
        rows = np.ascontiguousarray(vectors.matrix[places])
        fingerprint = digest(fingerprint + hashlib.blake2b(rows.data).hexdigest())
    return View(subject, space, fingerprint, lambda: Placed(vectors.matrix, places))


def encoded(subject: Subject, space: str, how: How) -> View:
    """Return a subject in the space of a network, which runs if it has not yet."""
    # A run that was stopped has left the space with too few rows.
    known = subject.store.spaces().get(space)
    if known is None or subject.store.vectors_table(known).count() < subject.store.images.count():
        state = encoders.available(ENCODERS[space])
        if not state.ok:
            raise Unavailable(f"{ENCODERS[space]}: {state.reason}", state.remedy)
        stores.embed(subject.found, subject.store, ENCODERS[space], how.progress)
    return stored(subject, space)


def chosen(asked: Sequence[str], subject: Subject, default: Sequence[str]) -> Sequence[str]:
    """Return the spaces to look at: those asked for, else the suite's own, else for a user's store what it has.

    Raises `BadInput` for one that there is not.
    """
    known = SPACES if subject.found.store is None else [PIXELS, *subject.store.spaces()]
    require_spaces(asked, known)
    return asked or (default if subject.found.store is None else list(known))


def require_spaces(asked: Sequence[str], known: Collection[str]) -> None:
    """Raise `BadInput` for a space that is not among those known."""
    if lacking := [one for one in asked if one not in known]:
        raise BadInput(f"there is no space {lacking[0]!r}", f"one of: {', '.join(known)}")
