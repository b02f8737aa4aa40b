"""The whole of `engine ingest` and `engine embed`: check everything that was asked for, then write.

What can be wrong with an argument is found before the first byte is written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


from engine import decode, encoders, fused
from engine.annotations import ROLES, Annotations, annotate, read_labels
from engine.choose import Skipped, choose
from engine.compact import compact_if_piled_up
from engine.embed import embed
from engine.encoders.base import Encoder
from engine.errors import BadInput
from engine.ingest import Plan, Report, ingest, plan
from engine.progress import Progress, Silent
from engine.sources import Source, expand, open_source
from engine.store import Store
from engine.user_vectors import Brought, UserVectors, bring, read_vectors

# Rough figures for --dry-run: a thumbnail, and images a second where nothing was measured in this store yet.
THUMBNAIL_BYTES = 15_000
IMAGES_PER_SECOND = 300.0


@dataclass(frozen=True)
class Request:
    """What `engine ingest` was asked for."""

    sources: Sequence[str]
    encoders: Sequence[str] | None = None
    weights: Path | None = None
    space: str | None = None
    precision: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    labels: Path | None = None
    labels_role: str = "given"
    labels_from_folders: bool = False
    split_from_folders: bool = False
    vectors: Sequence[str] = ()
    vectors_order: str = "member"
    max_pixels: int | None = None
    retry_rejected: bool = False
    restore: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the run records of it."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def intake(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Ingest the sources into the store at `path`, made if need be; return what `--json` prints."""
    progress = progress or Silent()
    started = time.monotonic()
    _check(request)
    sources = [open_source(one) for one in expand(request.sources)]
    annotations = _annotations(request)
    vectors = [read_vectors(one, sources, order=request.vectors_order) for one in request.vectors]
    store = Store.create(path)
    chosen, skipped = _encoders(store, request, sources)
    for one in chosen:
        progress.note(one.note)
    report = ingest(
        store,
        sources,
        chosen,
        retry_rejected=request.retry_rejected,
        restore=request.restore,
        split=annotations.split,
        max_pixels=request.max_pixels or decode.DEFAULT_MAX_PIXELS,
        workers=request.workers,
        details=request.parameters,
        progress=progress,
    )
    digests = [one.digest for one in plan(store, sources)]
    for one in chosen:
        if store.vectors_table(store.spaces()[one.space]).count() < store.images.count():
            embed(store, one, digests=digests, workers=request.workers, progress=progress)
    _annotate(store, digests, annotations, report, progress)
    for brought in vectors:
        _bring(store, brought, digests, report, progress)
    compact_if_piled_up(store)
    return _document(store, report, chosen, vectors, skipped, time.monotonic() - started)


def _check(request: Request) -> None:
    if request.labels_role not in ROLES:
        raise BadInput(f"--labels-role {request.labels_role!r}", f"use one of {', '.join(ROLES)}")
    named = [one for one in request.encoders or [] if one != "none"]
    if "none" in (request.encoders or []) and named:
        raise BadInput("--encoder none beside other encoders", "leave one of the two out")
    for option, value in (("--weights", request.weights), ("--space", request.space)):
        if value is not None and len(named) != 1:
            raise BadInput(f"{option} {value} goes with exactly one --encoder, not {len(named)}", "name that encoder")
    for option, number in (
        ("--max-pixels", request.max_pixels),
        ("--workers", request.workers),
        ("--batch-size", request.batch_size),
    ):
        if number is not None and number < 1:
            raise BadInput(f"{option} {number}", "give a positive number")
    if len({one.partition("=")[0] for one in request.vectors}) < len(request.vectors):
        raise BadInput("two --vectors have the same name", "give each space its own")


def _annotations(request: Request) -> Annotations:
    by_name, by_ordinal = read_labels(request.labels) if request.labels else ({}, [])
    return Annotations(
        by_name, by_ordinal, request.labels_from_folders, request.split_from_folders, request.labels_role
    )


def _encoders(store: Store, request: Request, sources: Sequence[Source]) -> tuple[list[Encoder], list[Skipped]]:
    """Return the encoders to run, checked against the spaces there are, and those that cannot run here."""
    options: dict[str, Any] = {
        "cache": store.cache,
        "precision": request.precision,
        "device": request.device,
        "batch_size": request.batch_size,
    }
    if request.encoders is None:
        return choose(**options)
    specs = [spec for spec in dict.fromkeys(request.encoders) if spec != "none"]
    found: list[Encoder] = [
        encoders.load(spec, space=request.space, weights=request.weights, **options) for spec in specs
    ]
    return found, []


def _annotate(
    store: Store, digests: Sequence[bytes], annotations: Annotations, report: Report, progress: Progress
) -> None:
    if report.run is None and annotations == Annotations(role=annotations.role):
        return
    done = annotate(store, digests, annotations, report.run or "")
    if done.unknown:
        progress.note(
            f"warning: {done.unknown} images named in the labels file are in no source, for instance {done.examples[0]}"
        )


def _bring(store: Store, vectors: UserVectors, digests: Sequence[bytes], report: Report, progress: Progress) -> Brought:
    brought = bring(store, vectors, digests, report.run or "")
    if brought.differing:
        progress.note(
            f"warning: {brought.differing} members of space {vectors.name} are the same image as another member but "
            "have another vector; the first one counts"
        )
    if brought.overlap is not None:
        loud = "WARNING: the rows probably belong to other images: " if brought.overlap.suspicious else ""
        progress.note(f"{loud}space {vectors.name}: {brought.overlap}")
    return brought


def _document(
    store: Store,
    report: Report,
    chosen: Sequence[Encoder],
    vectors: Sequence[UserVectors],
    skipped: Sequence[Skipped],
    seconds: float,
) -> dict[str, Any]:
    spaces = {one.space: one.note for one in chosen} | {one.name: "brought with --vectors" for one in vectors}
    return {
        "run": report.run,
        "members": report.members,
        "images": report.images,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "reasons": report.reasons,
        "seconds": seconds,
        "images_per_second": report.images_per_second,
        "spaces": {name: _space(store, name, note) for name, note in spaces.items()},
        "skipped": [asdict(one) for one in skipped],
        "cut": report.cut,
        "store_version": store.versions(),
    }


def _space(store: Store, name: str, note: str) -> dict[str, Any]:
    space = store.space(name)
    rows = len(fused.matrix_of(store, space)) if space.virtual else store.vectors_table(space).count()
    return {"dim": space.dim, "rows": rows, "fingerprint": space.fingerprint, "note": note}


def estimate(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Return how many members an ingest would take in, and about how long and how much disk; write nothing."""
    _check(request)
    sources = [open_source(one) for one in expand(request.sources)]
    store = Store(path.absolute())
    plans = plan(store, sources)
    members = sum(_members(one) for one in plans)
    measured = store.measured_rate()
    return {
        "members": members,
        "known": sum(len(one.done) for one in plans),
        "seconds": members / (measured or IMAGES_PER_SECOND),
        "rate_measured": measured is not None,
        "bytes": members * (THUMBNAIL_BYTES + 4 * 1280),
        "cut": [],
    }


def _members(one: Plan) -> int:
    """Return how many members are wanted, listing a compressed source to its end."""
    if one.complete:
        return 0
    return one.total if one.total is not None else sum(one.wanted(ordinal) for ordinal, _ in one.source.names())


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
    (progress or Silent()).note(encoder.note)
    done = embed(store, encoder, workers=workers, progress=progress)
    rate = done.rows / done.seconds if done.rows and done.seconds else None
    return _filled(store, done.run, encoder.space, encoder.note, done.rows, done.seconds, rate)


def fuse_spaces(path: Path, parts: Sequence[str], *, space: str, stored: bool) -> dict[str, Any]:
    """Make a fused space of `SPACE` or `SPACE=WEIGHT` parts; return what `--json` prints."""
    store = Store.open(path)
    started = time.monotonic()
    weights = dict(_part(one) for one in parts)
    made = fused.recipe(store, weights, name=space, virtual=not stored)
    run = store.begin("embed", {"spaces": [space], "recipe": made.recipe})
    with store.lock():
        store.declare(made, run)
        rows = fused.fill(store, made) if stored else 0
    seconds = time.monotonic() - started
    store.end(run, "embed", {"space": space, "rows": rows, "seconds": round(seconds, 3)})
    weighing = ", ".join(f"{name} {weight:.3f}" for name, weight in made.recipe["weights"].items())
    note = f"fused from {weighing}; {'stored' if stored else 'virtual: scores are added when it is searched'}"
    return _filled(store, run, space, note, rows, seconds, None)


def _part(text: str) -> tuple[str, float | None]:
    name, _, weight = text.partition("=")
    try:
        return name, float(weight) if weight else None
    except ValueError:
        raise BadInput(f"--fuse {text!r}: {weight!r} is no number", "--fuse SPACE or --fuse SPACE=WEIGHT") from None


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
        "spaces": {space: _space(store, space, note)},
        "skipped": [],
        "store_version": store.versions(),
    }
