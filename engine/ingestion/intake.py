"""The whole of `engine ingest`: members, then vectors that are lacking, labels, and vectors that the user brought."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine import decode, fused
from engine.compact import compact_if_piled_up, sizes
from engine.encoders.base import Encoder
from engine.ingestion.annotations import Annotations, annotate
from engine.ingestion.choose import Skipped, choose
from engine.ingestion.class_names import LONGEST
from engine.ingestion.embed import embed
from engine.ingestion.ingest import Report, counts, ingest
from engine.ingestion.plan import Plan, plan
from engine.ingestion.request import Asked, Request, check_spaces, options, read
from engine.ingestion.user_vectors import UserVectors, bring
from engine.progress import Progress, Silent
from engine.select import conflicting
from engine.store import Store
from engine.store.store import Run
from engine.training.first import learn

# Rough figures for --dry-run where the store has no images to go by yet.
BYTES_AN_IMAGE = 20_000
IMAGES_PER_SECOND = 300.0


def intake(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Ingest the sources into the store at `path`, made if need be; return what `--json` prints."""
    progress = progress or Silent()
    started = time.monotonic()
    asked = read(path, request)
    store = Store.create(path)
    chosen: list[Encoder] = asked.encoders
    skipped: list[Skipped] = []
    if request.encoders is None:
        chosen, skipped = choose(store.spaces(), autoencoder=request.autoencoder, **options(path, request))
    check_spaces(store, chosen, asked.vectors)
    removed = store.members.count("removed IS NOT NULL")
    report = ingest(
        store,
        asked.sources,
        chosen,
        retry_rejected=request.retry_rejected,
        restore=request.restore,
        max_pixels=request.max_pixels or decode.DEFAULT_MAX_PIXELS,
        workers=request.workers,
        details=request.parameters,
        progress=progress,
    )
    # One for each source, for rows are counted over all that were named.
    digests = [plan(store, [one])[0].digest for one in asked.sources]
    notes = {one.space: one.note if report.run else "" for one in chosen}
    for one in chosen:
        if _lacks(store, one) and embed(store, one, digests=digests, workers=request.workers, progress=progress).run:
            notes[one.space] = one.note
    if report.run or request.describes:
        report = _describe(store, request, asked, digests, report, progress)
    if request.encoders is None and request.autoencoder:
        learnt, unlearnt = learn(store, workers=request.workers, progress=progress)
        notes |= learnt
        skipped += unlearnt
    compact_if_piled_up(store)
    notes |= {one.name: "brought with --vectors" for one in asked.vectors}
    document = _document(store, report, notes, skipped, time.monotonic() - started)
    restored = removed - store.members.count("removed IS NOT NULL")
    return {**document, "restored": restored, "lacking": list(_lacking(store, request)) if restored else []}


def _lacking(store: Store, request: Request) -> Iterator[str]:
    """Yield what a removal took away for good and this ingest did not bring: it has to be given again."""
    images = store.images.count()
    for space in store.spaces().values():
        if space.encoder == "user" and (missing := images - fused.rows(store, space)) > 0:
            yield f"{missing} of {images} images have no vector in space {space.name}; {space.remedy}"
    if not request.labels and not request.labels_from_folders:
        yield "labels of what is restored went when it was removed; give them again: engine ingest SOURCE --labels FILE"


def _lacks(store: Store, encoder: Encoder) -> bool:
    """Say whether an image may be without a vector of this encoder."""
    space = store.spaces().get(encoder.space)
    if space is None or space.fingerprint != encoder.fingerprint:
        return True
    return fused.rows(store, space) < store.images.count()


def _describe(
    store: Store, request: Request, asked: Asked, digests: Sequence[bytes], report: Report, progress: Progress
) -> Report:
    """Write the labels and vectors that come with the members; return the report with the run they belong to."""
    # Labels for images that were all there already are a run of their own.
    run = nullcontext(Run(report.run, {})) if report.run else store.run("ingest", request.parameters)
    with store.lock(), run as current:
        labels = _annotate(store, digests, asked.annotations, current.name, progress)
        rows = {one.name: _bring(store, one, digests, current.name, progress) for one in asked.vectors}
        current.result.update(counts(report), labels=labels, vectors=rows)
    return replace(report, run=current.name, labels=labels)


def _annotate(store: Store, digests: Sequence[bytes], annotations: Annotations, run: str, progress: Progress) -> int:
    done = annotate(store, digests, annotations, run)
    for names, what in (
        (done.unknown, "are in no source"),
        (done.ambiguous, "fit several images and count only for a member of exactly that name"),
    ):
        if names:
            progress.note(f"warning: {len(names)} images named in the labels file {what}, for instance {names[0]}")
    if done.unnamed:
        progress.note(
            f"warning: {len(done.unnamed)} images have no label: what lies beside them cannot name a class "
            f"(it is empty, over {LONGEST} characters or several lines), for instance {done.unnamed[0]}"
        )
    if conflicts := conflicting(store):
        progress.note(f"warning: {conflicts} images have two different labels that count alike, and so none")
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
    notes: Mapping[str, str],
    skipped: Sequence[Skipped],
    seconds: float,
) -> dict[str, Any]:
    return {
        "run": report.run,
        "members": report.members,
        "images": report.images,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "reasons": report.reasons,
        "seconds": seconds,
        "images_per_second": report.images_per_second,
        "spaces": {name: described(store, name, note) for name, note in notes.items()},
        "skipped": [asdict(one) for one in skipped],
        "labels": report.labels,
        "cut": report.cut,
        "store_version": store.versions(),
    }


def described(store: Store, name: str, note: str) -> dict[str, Any]:
    """Return what `--json` says of a space after it was filled; `note` is what it ran on, empty if nothing ran."""
    space = store.space(name)
    return {"dim": space.dim, "rows": fused.rows(store, space), "fingerprint": space.fingerprint, "note": note}


def estimate(path: Path, request: Request, *, progress: Progress | None = None) -> dict[str, Any]:
    """Return how many members an ingest would take in, and about how long and how much disk; write nothing."""
    store = Store(path.absolute())
    plans = plan(store, read(path, request).sources)
    members = sum(_members(one) for one in plans)
    measured = store.measured_rate()
    images = store.images.count()
    stored = sum(size.bytes for size in sizes(store))
    return {
        "members": members,
        "known": sum(len(one.done) for one in plans),
        "seconds": members / (measured or IMAGES_PER_SECOND),
        "rate_measured": measured is not None,
        "bytes": round(members * (stored / images if images else BYTES_AN_IMAGE)),
        "cut": [],
    }


def _members(one: Plan) -> int:
    """Return how many members are wanted, listing a compressed source to its end."""
    if one.complete:
        return 0
    return one.total if one.total is not None else sum(one.wanted(ordinal) for ordinal, _ in one.source.names())
