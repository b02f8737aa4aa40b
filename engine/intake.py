"""The whole of `engine ingest` and `engine embed`: check everything that was asked for, then write.

What can be wrong with an argument is found before the first byte is written.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine import decode, encoders, fused
from engine.annotations import ROLES, Annotations, annotate, read_labels
from engine.choose import Skipped, choose
from engine.compact import compact_if_piled_up
from engine.embed import embed
from engine.encoders.base import Encoder
from engine.errors import BadInput, EncoderUnavailable
from engine.ingest import Plan, Report, counts, ingest, plan
from engine.progress import Progress, Silent
from engine.sources import Source, expand, open_source
from engine.store import Store
from engine.user_vectors import UserVectors, bring, read_vectors

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
    def describes(self) -> bool:
        """Say whether it brings something for images that may be stored already."""
        return bool(self.labels or self.labels_from_folders or self.split_from_folders or self.vectors)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the run records of it."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def intake(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Ingest the sources into the store at `path`, made if need be; return what `--json` prints."""
    progress = progress or Silent()
    started = time.monotonic()
    asked = _read(path, request)
    sources, vectors = asked.sources, asked.vectors
    store = Store.create(path)
    chosen, skipped = (asked.encoders, []) if request.encoders is not None else choose(**_options(path, request))
    _check_spaces(store, chosen, vectors)
    for one in chosen:
        progress.note(one.note)
    report = ingest(
        store,
        sources,
        chosen,
        retry_rejected=request.retry_rejected,
        restore=request.restore,
        max_pixels=request.max_pixels or decode.DEFAULT_MAX_PIXELS,
        workers=request.workers,
        details=request.parameters,
        progress=progress,
    )
    # One for each source, for rows are counted over all that were named.
    digests = [plan(store, [one])[0].digest for one in sources]
    for one in chosen:
        space = store.spaces().get(one.space)
        if space is None or space.fingerprint != one.fingerprint or fused.rows(store, space) < store.images.count():
            embed(store, one, digests=digests, workers=request.workers, progress=progress)
    run = report.run
    if run is None and request.describes:
        # Labels and vectors for images that were all there already.
        run = store.begin("ingest", request.parameters)
    if run is not None:
        labels = _annotate(store, digests, asked.annotations, run, progress)
        rows = {one.name: _bring(store, one, digests, run, progress) for one in vectors}
        if run != report.run:
            store.end(run, "ingest", {**counts(report), "labels": labels, "vectors": rows})
    compact_if_piled_up(store)
    return _document(store, replace(report, run=run), chosen, vectors, skipped, time.monotonic() - started)


@dataclass(frozen=True)
class Asked:
    """What a request names, read and checked; nothing was written for it."""

    sources: list[Source]
    annotations: Annotations
    vectors: list[UserVectors]
    encoders: list[Encoder]


def _read(path: Path, request: Request) -> Asked:
    _check(request)
    sources = [open_source(one) for one in expand(request.sources)]
    vectors = [read_vectors(one, sources, order=request.vectors_order) for one in request.vectors]
    found = _encoders(path, request)
    _check_spaces(Store(path.absolute()), found, vectors)
    return Asked(sources, _annotations(request, sources), vectors, found)


def _check_spaces(store: Store, chosen: Sequence[Encoder], vectors: Sequence[UserVectors]) -> None:
    """Raise if brought vectors would meet those of an encoder, or others, in one space."""
    known, filled = store.spaces(), {one.space for one in chosen}
    for brought in vectors:
        if brought.name in filled:
            raise BadInput(
                f"--vectors {brought.name}=… has the name of a space that an encoder fills", "choose another"
            )
        if brought.name in known:
            store.declare(brought.space, "")


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


def _annotations(request: Request, sources: Sequence[Source]) -> Annotations:
    by_name, by_ordinal = read_labels(request.labels) if request.labels else ({}, [])
    if by_ordinal:
        members = [sum(ordinal >= 0 for ordinal, _ in source.names()) for source in sources]
        if members != [len(by_ordinal)]:
            raise BadInput(
                f"{request.labels} has {len(by_ordinal)} labels, the sources have "
                f"{', '.join(map(str, members))} members",
                "give the one source that the labels belong to",
            )
    return Annotations(
        by_name, by_ordinal, request.labels_from_folders, request.split_from_folders, request.labels_role
    )


def _options(path: Path, request: Request) -> dict[str, Any]:
    return {
        "cache": path.absolute() / "cache",
        "precision": request.precision,
        "device": request.device,
        "batch_size": request.batch_size,
    }


def _encoders(path: Path, request: Request) -> list[Encoder]:
    """Return the encoders that were asked for; raise `EncoderUnavailable` if one cannot run here."""
    found: list[Encoder] = []
    for spec in dict.fromkeys(request.encoders or ()):
        if spec == "none":
            continue
        one = encoders.load(spec, space=request.space, weights=request.weights, **_options(path, request))
        state = one.availability()
        if not state.ok:
            raise EncoderUnavailable(f"{spec}: {state.reason}", state.remedy)
        found.append(one)
    if len({one.space for one in found}) < len(found):
        raise BadInput("two encoders fill the same space", "ingest with one, then: engine embed --space NAME")
    return found


def _annotate(store: Store, digests: Sequence[bytes], annotations: Annotations, run: str, progress: Progress) -> int:
    done = annotate(store, digests, annotations, run)
    for names, what in (
        (done.unknown, "are in no source"),
        (done.ambiguous, "fit several images and count only for a member of exactly that name"),
    ):
        if names:
            progress.note(f"warning: {len(names)} images named in the labels file {what}, for instance {names[0]}")
    return done.labels


def _bring(store: Store, vectors: UserVectors, digests: Sequence[bytes], run: str, progress: Progress) -> int:
    brought = bring(store, vectors, digests, run)
    if brought.differing:
        progress.note(
            f"warning: {brought.differing} members of space {vectors.name} have another vector than the one that is "
            "stored for their image; the first one counts"
        )
    if brought.overlap is not None:
        loud = "WARNING: the rows probably belong to other images: " if brought.overlap.suspicious else ""
        progress.note(f"{loud}space {vectors.name}: {brought.overlap}")
    return brought.rows


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
    return {"dim": space.dim, "rows": fused.rows(store, space), "fingerprint": space.fingerprint, "note": note}


def estimate(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Return how many members an ingest would take in, and about how long and how much disk; write nothing."""
    store = Store(path.absolute())
    plans = plan(store, _read(path, request).sources)
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
    made = fused.recipe(store, dict(_part(one) for one in parts), name=space, virtual=not stored)
    known = store.declare(made, "") if space in store.spaces() else made
    if known.virtual != made.virtual:
        kind = "virtual" if known.virtual else "stored"
        raise BadInput(f"space {space!r} is {kind} and stays so", "choose another name: --space NAME")
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
        "spaces": {space: _space(store, space, note)},
        "skipped": [],
        "store_version": store.versions(),
    }
