"""Train an autoencoder on the store's pictures, fill its space beside the old one, then let the name stand for it.

Whatever stops it, the same command goes on: the squares are kept, the training has checkpoints, the model is found by
what it was trained on, and vectors that are there are not made again. Until the space is full the old one answers.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine import encoders, fused
from engine.encoders.base import names_space
from engine.errors import BadInput, StoreBusy
from engine.ingestion.embed import embed, missing
from engine.ingestion.ingest import space_of
from engine.interrupt import deferred
from engine.progress import Progress, Silent
from engine.select import all_labels
from engine.store import Space, Store
from engine.store.durable import locked, write_whole
from engine.store.vectors import id_array, sort_key
from engine.training import models
from engine.training.pictures import Pictures, check_variety, gather
from engine.versions import versions

if TYPE_CHECKING:
    from engine.encoders.autoencoder.training import Config, Trained
    from engine.store.store import Run

SPACE, KIND = "autoencoder", "autoencoder"
# From fewer pictures nothing is learnt that another picture would fit.
LEAST = 200


@dataclass(frozen=True)
class Learnt:
    """What a training left: the `model` and its space, `about` it, and whether it had been `trained` before.

    `corrupt` thumbnails were left out; `rows` vectors were written; `lacking` images have none. The spaces `followers`
    are fused from this one, and were made anew of it.
    """

    run: str
    model: str
    space: Space
    about: dict[str, Any]
    corrupt: int
    rows: int
    lacking: int
    seconds: float
    note: str
    followers: tuple[Space, ...] = ()


@dataclass(frozen=True)
class Subject:
    """What is learnt from: sorted ids uint8 (n, 32) and, for a head, their classes and a code (n,) for each."""

    ids: NDArray[np.uint8]
    classes: tuple[str, ...] = ()
    codes: NDArray[np.int64] | None = None

    def key(self, config: Config) -> str:
        """Return what stands for all that the weights depend on."""
        text = json.dumps([asdict(config), self.classes, versions()], sort_keys=True)
        codes = b"" if self.codes is None else self.codes.tobytes()
        return hashlib.sha256(text.encode() + self.ids.tobytes() + codes).hexdigest()[:24]


def train_autoencoder(
    store: Store,
    config: Config,
    *,
    head: bool = False,
    space: str = SPACE,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Learnt:
    """Train on all pictures, or with a `head` on those with a label that counts; return what was learnt.

    Raises `BadInput` for fewer than 200 pictures, pictures that are all alike, or labels of fewer than two classes;
    `StoreBusy` if others write when the space is full, `DiskFull`, and `Interrupted` after Ctrl-C. All that was done
    until then is kept.
    """
    progress, started = progress or Silent(), time.monotonic()
    _check_space(store, space)
    subject = _labelled(store) if head else Subject(_sorted(id_array(store.images.read(["id"])["id"])))
    _check_number(len(subject.ids), "labelled pictures" if head else "pictures")
    key = subject.key(config)
    folder = store.cache / "training" / key
    lock = folder.with_suffix(".lock")
    folder.mkdir(parents=True, exist_ok=True)
    details = {"kind": KIND, "space": space, "head": head, "config": asdict(config), "images": len(subject.ids)}
    # Two that train the same take turns: the second finds the model of the first.
    with locked(lock), _cleared(folder, lock), store.run("train", details) as run:
        with store.lock():
            about = models.trained_before(store, key) or _train(store, subject, config, folder, run.name, progress)
            encoder = encoders.load(f"{KIND}:{about['model']}", space=space, cache=store.cache)
            filled = embed(store, encoder, aside=True, workers=workers, progress=progress)
        made = space_of(encoder)
        lacking, followers = _point(store, made, run)
        run.result.update(model=about["model"], fingerprint=made.fingerprint, rows=filled.rows, lacking=lacking)
    seconds = time.monotonic() - started
    note = encoder.note if filled.rows else ""
    return Learnt(
        run.name, about["model"], made, about, about["corrupt"], filled.rows, lacking, seconds, note, followers
    )


@contextmanager
def _cleared(folder: Path, lock: Path) -> Iterator[None]:
    """Remove what a training keeps when it ends well or can never go on; what was only stopped goes on from it."""
    try:
        yield
    except BadInput:
        _clear(folder, lock)
        raise
    _clear(folder, lock)


def _clear(folder: Path, lock: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.unlink(missing_ok=True)


def _check_space(store: Store, name: str) -> None:
    if not names_space(name):
        raise BadInput(f"{name!r} cannot name a space", "use at most 64 lower-case letters, digits and _")
    known = store.spaces().get(name)
    if known is not None and not known.encoder.startswith(f"{KIND}:"):
        raise BadInput(f"space {name!r} holds vectors of {known.encoder}", "choose another name: --space NAME")


def _check_number(pictures: int, what: str, more: str = "") -> None:
    if pictures < LEAST:
        raise BadInput(f"{pictures} {what} are fewer than {LEAST}, too few to learn from{more}", "ingest more")


def _sorted(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return ids[np.argsort(sort_key(ids))]


def _labelled(store: Store) -> Subject:
    """Return the images with a label that counts; truth is none."""
    rows = all_labels(store)
    ids = id_array(rows["id"])
    order = np.argsort(sort_key(ids))
    names = rows["label"].to_numpy(zero_copy_only=False)[order]
    classes, codes = np.unique(names.astype(str), return_inverse=True)
    if len(classes) < 2:
        raise BadInput(
            f"a head needs labels of two classes or more, there are {len(classes)}",
            "label some: engine labels import FILE, or engine label --exemplar CLASS=NAME and engine labels accept",
        )
    return Subject(ids[order], tuple(map(str, classes)), codes.astype(np.int64))


def _train(
    store: Store, subject: Subject, config: Config, folder: Path, run: str, progress: Progress
) -> dict[str, Any]:
    """Train a model, write it into the store and return what is known of it."""
    from engine.encoders.autoencoder.network import geometry
    from engine.encoders.autoencoder.training import train

    pictures = gather(store, subject.ids, geometry(config.side), folder, progress=progress)
    if pictures.corrupt:
        progress.note(f"warning: {pictures.corrupt} thumbnails are damaged and left out; see: engine verify")
        _check_number(len(pictures.rows), "pictures", f" ({pictures.corrupt} damaged thumbnails are left out)")
    check_variety(pictures)
    kept = folder / "state.safetensors"
    state = _state(kept)
    progress.begin("train autoencoder", config.steps, "steps")
    if state is not None:
        progress.note(f"going on after {state['step']} of {config.steps} steps")
        progress.advance(int(state["step"]))

    def told(pictures: int, status: str) -> None:
        progress.stand(status)
        progress.advance(1)

    with deferred() as interrupted:
        done = train(
            pictures.pixels,
            config,
            rows=pictures.rows,
            labels=subject.codes,
            state=state,
            keep=lambda state: write_whole(kept, _packed(state)),
            told=told,
            interrupted=interrupted,
        )
    about = _about(pictures, subject, config, done) | {"run": run, "key": subject.key(config)}
    return {"model": models.write(store, done.weights, about), **about}


def _packed(state: dict[str, NDArray[Any]]) -> bytes:
    from safetensors.numpy import save

    return save(state, {"checksum": _checksum(state)})


def _checksum(state: dict[str, NDArray[Any]]) -> str:
    found = 0
    for name in sorted(state):
        found = zlib.crc32(state[name].tobytes(), zlib.crc32(name.encode(), found))
    return str(found)


def _state(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return the state that was kept, None if there is none or it is not as it was written."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            known = (file.metadata() or {}).get("checksum")
    except (OSError, SafetensorError):
        return None
    return state if known == _checksum(state) else None


def _about(pictures: Pictures, subject: Subject, config: Config, done: Trained) -> dict[str, Any]:
    """Return what the model's JSON says: what it was trained on, how, and how well it does on the held-out pictures."""
    from engine.encoders.autoencoder.inference import Reconstructor
    from engine.encoders.autoencoder.training import COLUMNS

    network = Reconstructor(done.weights, side=config.side, classes=len(subject.classes))
    held = np.asarray(pictures.pixels[done.held])
    metrics: dict[str, Any] = {"mse": network.mse(held), "accuracy": None}
    if subject.codes is not None:
        answers = network.scores(network.latents(held)).argmax(axis=1)
        metrics["accuracy"] = float((answers == subject.codes[done.held]).mean())
    # What predicting the mean picture would give: below it the network has learnt something.
    metrics["variance"] = float((held / 255.0).var(axis=0).mean())
    return {
        "kind": KIND,
        "side": config.side,
        "classes": list(subject.classes),
        "config": asdict(config),
        "images": len(pictures.rows),
        "held": len(done.held),
        "corrupt": pictures.corrupt,
        "steps": int(done.history[-1, 0]),
        "best_step": done.best,
        "stopped_early": done.stopped,
        "metrics": metrics,
        "history": {name: done.history[:, place].tolist() for place, name in enumerate(COLUMNS)},
        "versions": versions(),
    }


def _point(store: Store, made: Space, run: Run) -> tuple[int, tuple[Space, ...]]:
    """Let the name of `made` stand for it, the fused spaces follow, in one commit; return what it lacks and those.

    Raises `BadInput` if the space that answers now has vectors that the new one has not.
    """
    try:
        with store.lock(alone=True):
            spaces = store.spaces()
            lacking = sum(len(ordinals) for ordinals in missing(store, made).values())
            old = spaces.get(made.name)
            if lacking and old is not None and store.vectors_table(old).count() > store.vectors_table(made).count():
                raise BadInput(
                    f"{lacking} images have no vector of the new model, so space {made.name!r} stays what it was",
                    "see which sources changed: engine verify --bytes; then the same command again",
                )
            followers = _followers(store, {**spaces, made.name: made}, made)
            store.point([made, *followers], run.name)
    except StoreBusy as busy:
        raise StoreBusy(
            f"space {made.name!r} is full, but {busy.message}", "wait for it, then give the same command again"
        ) from None
    return lacking, tuple(followers)


def _followers(store: Store, spaces: dict[str, Space], made: Space) -> list[Space]:
    found = fused.following(spaces, made)
    try:
        default = fused.default_recipe(store, spaces)
    except BadInput:
        # A component without spread cannot be weighed: then there is no fused space.
        default = None
    return [*found, *([default] if default else ())]
