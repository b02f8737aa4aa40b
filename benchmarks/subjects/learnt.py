"""Spaces learnt from the data set itself: an autoencoder, one with a head for the classes, and the first one fused.

The autoencoder sees the training split alone, the head its labels; without a training split it sees all images, and a
head has nothing to learn from. Weights are kept beside the store, so that each is trained once for all suites.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import Unavailable
from benchmarks.subjects.spaces import view
from benchmarks.subjects.subject import Subject
from benchmarks.subjects.views import How, View, digest, kept
from engine.encoders.base import Pixels
from engine.fused import normalised
from engine.progress import Progress
from engine.store.vectors import unit
from engine.training.autoencoder import LEAST
from engine.training.pictures import gather
from engine.versions import versions
from indexers.background import measure

if TYPE_CHECKING:
    from engine.encoders.autoencoder.inference import Reconstructor
    from engine.encoders.autoencoder.training import Config

PLAIN, HEAD = "autoencoder", "autoencoder_head"
EPOCHS, QUICK_EPOCHS, SIDE = 10, 2, 32
FUSED = ("efficientnet_lite0", PLAIN)
# Trainings take most of the time of a suite: all suites but `autoencoder` look at the one with this seed.
SEED = 0
ONE_TRAINING = (
    "of one training (seed 0): ± is over the seeds of what comes after it, not over trainings, which the suite "
    "autoencoder has"
)


@dataclass(frozen=True)
class Learnt:
    """Weights of an autoencoder, the step they are of, how many pictures were held out, and the seconds it took.

    The seconds are those of the training itself, whenever that was: weights that are kept are taken with theirs, also
    where rows are measured anew.
    """

    weights: Mapping[str, NDArray[Any]]
    best: int
    held: int
    seconds: float
    classes: int

    def network(self) -> Reconstructor:
        """Return the network, ready to work."""
        from engine.encoders.autoencoder.inference import Reconstructor

        return Reconstructor(self.weights, side=SIDE, classes=self.classes)


def autoencoder(subject: Subject, space: str, how: How) -> View:
    """Return a subject in the latent of an autoencoder; raise `Unavailable`."""
    return _latent(subject, space, how, head=False)


def with_head(subject: Subject, space: str, how: How) -> View:
    """Return a subject in the latent of one that also tells the classes of the training split apart."""
    if not subject.train.any():
        raise Unavailable(f"{subject.found.name} has no training split", "its labels only judge: none to learn from")
    return _latent(subject, space, how, head=True)


def fused(subject: Subject, space: str, how: How) -> View:
    """Return the bundled network and the autoencoder as one: √w·v side by side, w by the inverse spread of each."""
    parts = [view(subject, name, how) for name in FUSED]
    fingerprint = digest(json.dumps(["inverse spread", *(one.fingerprint for one in parts)]))
    return View(subject, space, fingerprint, partial(_joined, parts), ONE_TRAINING)


def _joined(parts: Sequence[View]) -> NDArray[np.float32]:
    every = np.arange(len(parts[0].subject.ids))
    vectors = {one.space: one.take(every) for one in parts}
    weights = normalised({name: 1 / measure(X).spread for name, X in vectors.items()})
    return np.concatenate([np.float32(np.sqrt(weights[name])) * X for name, X in vectors.items()], axis=1)


def _latent(subject: Subject, space: str, how: How, *, head: bool) -> View:
    rows = learnt_from(subject)
    if len(rows) < LEAST:
        raise Unavailable(f"{len(rows)} pictures of {subject.found.name} are too few to learn from", "bring more")
    config = configured(len(rows), QUICK_EPOCHS if how.quick else EPOCHS, SEED)
    fingerprint = _fingerprint(subject, config, head)
    path = subject.folder / f"{space}-{fingerprint}.npy"
    load = partial(kept, path, partial(_encoded, subject, config, head, how.progress))
    return View(subject, space, fingerprint, load, ONE_TRAINING)


def _encoded(subject: Subject, config: Config, head: bool, progress: Progress) -> NDArray[np.float32]:
    network = learnt(subject, config, head=head, progress=progress).network()
    # In memory: a file that is mapped cannot be written, and torch wants to.
    return unit(network.latents(np.array(squares(subject, progress))), PLAIN)


def squares(subject: Subject, progress: Progress) -> Pixels:
    """Return the thumbnails of a subject as squares, in its order; raise `Unavailable` if one is damaged."""
    from engine.encoders.autoencoder.network import geometry

    folder = subject.folder / f"squares-{SIDE}-{subject.data}"
    pictures = gather(subject.store, subject.ids, geometry(SIDE), folder, progress=progress)
    if pictures.corrupt:
        raise Unavailable(f"{pictures.corrupt} thumbnails of {subject.store.path} are damaged", "engine verify")
    return pictures.pixels


def learnt_from(subject: Subject) -> NDArray[np.int64]:
    """Return the rows of the training split that are in no other; without splits, all."""
    train_only = subject.train & ~subject.test
    return np.flatnonzero(train_only) if train_only.any() else np.arange(len(subject.ids))


def configured(rows: int, epochs: int, seed: int) -> Config:
    """Return a training of so many passes over what is not held out of `rows` pictures."""
    from engine.encoders.autoencoder.training import BATCH, Config, split

    known, _ = split(rows, Config(steps=1, seed=seed))
    return Config(steps=epochs * max(1, len(known) // min(BATCH, len(known))), seed=seed, side=SIDE)


def _fingerprint(subject: Subject, config: Config, head: bool) -> str:
    return digest(json.dumps([asdict(config), head, subject.data, versions()], sort_keys=True))


def learnt(subject: Subject, config: Config, *, head: bool, progress: Progress) -> Learnt:
    """Return the weights of a training, from their file if it was done before."""
    from safetensors.numpy import load_file, save_file

    path = subject.folder / f"{HEAD if head else PLAIN}-{_fingerprint(subject, config, head)}.safetensors"
    if not path.exists():
        found = _trained(subject, config, head, progress)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        save_file(found, scratch)
        os.replace(scratch, path)
    arrays = dict(load_file(path))
    best, held, seconds = (float(arrays.pop(f"training.{name}")[0]) for name in ("best", "held", "seconds"))
    return Learnt(arrays, int(best), int(held), seconds, len(subject.classes) if head else 0)


def _trained(subject: Subject, config: Config, head: bool, progress: Progress) -> dict[str, NDArray[Any]]:
    from engine.encoders.autoencoder.training import train

    pixels = squares(subject, progress)
    progress.begin("train autoencoder", config.steps, "steps")

    def told(seen: int, status: str) -> None:
        progress.stand(status)
        progress.advance(1)

    began = time.monotonic()
    labels = subject.codes.astype(np.int64) if head else None
    done = train(pixels, config, rows=learnt_from(subject), labels=labels, told=told)
    about = {"best": done.best, "held": len(done.held), "seconds": time.monotonic() - began}
    arrays = {name: np.ascontiguousarray(value) for name, value in done.weights.items()}
    return {**arrays, **{f"training.{name}": np.array([value], np.float64) for name, value in about.items()}}
