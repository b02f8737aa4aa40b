"""The whole of `engine embed`: fill one space, or fuse several."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import encoders, fused
from engine.encoders.base import Encoder
from engine.errors import BadInput
from engine.ingestion.embed import embed
from engine.ingestion.intake import described
from engine.progress import Progress, Silent
from engine.store import Store


def fill(
    path: Path,
    spec: str,
    *,
    weights: Path | None = None,
    space: str | None = None,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Fill one space for all stored images; return what `--json` prints."""
    store = Store.open(path)
    encoder: Encoder = encoders.load(
        spec, space=space, weights=weights, cache=store.cache, precision=precision, device=device, batch_size=batch_size
    )
    progress = progress or Silent()
    done = embed(store, encoder, workers=workers, progress=progress)
    if done.changed:
        progress.note(f"warning: {done.changed} images are no longer what was stored; see: engine verify --bytes")
    rate = done.rows / done.seconds if done.rows and done.seconds else None
    return _filled(store, done.run, encoder.space, encoder.note, done.rows, done.seconds, rate)


def fuse_spaces(path: Path, parts: Sequence[str], *, space: str, stored: bool) -> dict[str, Any]:
    """Make a fused space of `SPACE` or `SPACE=WEIGHT` parts; return what `--json` prints."""
    store = Store.open(path)
    started = time.monotonic()
    made = fused.recipe(store, dict(_part(one) for one in parts), name=space, virtual=not stored)
    # What an ingest fused by itself gives way to what a person asks for.
    free = fused.automatic(store.spaces().get(space))
    known = made if free else store.declare(made, "")
    if known.virtual != made.virtual:
        kind = "virtual" if known.virtual else "stored"
        raise BadInput(f"space {space!r} is {kind} and stays so", "choose another name: --space NAME")
    with store.lock(), store.run("embed", {"spaces": [space], "recipe": made.recipe}) as run:
        store.point([made], run.name) if free else store.declare(made, run.name)
        rows = fused.fill(store, made) if stored else 0
        seconds = time.monotonic() - started
        run.result.update(space=space, rows=rows, seconds=round(seconds, 3))
    return _filled(store, run.name, space, fused.weighing(made), rows, seconds, None)


def _part(text: str) -> tuple[str, float | None]:
    name, _, weight = text.partition("=")
    try:
        if name:
            return name, float(weight) if weight else None
    except ValueError:
        pass
    raise BadInput(f"--fuse {text!r} is not a space with or without a weight", "--fuse SPACE or --fuse SPACE=WEIGHT")


def _filled(
    store: Store, run: str | None, space: str, note: str, rows: int, seconds: float, rate: float | None
) -> dict[str, Any]:
    return {
        "run": run,
        "members": 0,
        "images": rows,
        "duplicates": 0,
        "rejected": 0,
        "seconds": seconds,
        "images_per_second": rate,
        "spaces": {space: described(store, space, note)},
        "skipped": [],
        "store_version": store.versions(),
    }
