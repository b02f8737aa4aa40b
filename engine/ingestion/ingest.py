"""Ingest: source → drop what the ledger knows → decode (workers) → encode in every space → commit.

Nothing is lost and nothing is twice: every member ends as an image or as rejected, exactly once, whatever was killed
in between, because every write is idempotent by key and the ledger is written last.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine import decode
from engine.encoders.base import Encoder, Pixels
from engine.errors import Interrupted, SourceCut
from engine.ingestion.commit import Block, Committer, ledger_row
from engine.ingestion.known import Encoded, Known
from engine.ingestion.plan import Plan, plan
from engine.interrupt import deferred
from engine.progress import Progress, Silent
from engine.sources.base import Member, Source
from engine.store import Space, Store
from engine.versions import versions
from engine.workers import Chunk, DecodePool


@dataclass(frozen=True)
class Report:
    """What one ingest did. Counts are of this run; `cut` names sources that ended too soon."""

    run: str | None
    members: int = 0
    images: int = 0
    rejected: int = 0
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    labels: int = 0

    @property
    def duplicates(self) -> int:
        return self.members - self.images - self.rejected

    @property
    def images_per_second(self) -> float | None:
        decoded = self.members - self.rejected
        return decoded / self.seconds if decoded and self.seconds else None


def ingest(
    store: Store,
    sources: Sequence[Source],
    encoders: Sequence[Encoder],
    *,
    retry_rejected: bool = False,
    restore: bool = False,
    max_pixels: int = decode.DEFAULT_MAX_PIXELS,
    workers: int | None = None,
    details: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Store every member of `sources` that the ledger does not have, with its vectors from every encoder.

    `retry_rejected` and `restore` take in again what was rejected or removed. `details` are the parameters to record
    with the run.
    Raises `Interrupted` after Ctrl-C, `DiskFull`, `FingerprintMismatch`; what was committed before stays.
    """
    progress = progress or Silent()
    conditions = [name for name, chosen in (("rejected", retry_rejected), ("removed", restore)) if chosen]
    plans = plan(store, sources, again=" OR ".join(f"{name} IS NOT NULL" for name in conditions) or "false")
    todo = [one for one in plans if not one.complete]
    if not todo:
        return Report(None, cut=[one.cut for one in plans if one.cut])
    update = " OR ".join(f"target.{name} IS NOT NULL" for name in conditions) or None
    details = {**(details or {}), "spaces": [one.space for one in encoders], "versions": versions()}
    with store.lock(), deferred() as interrupted, store.run("ingest", details) as run:
        spaces = {one.space: store.declare(space_of(one), run.name) for one in encoders}
        known = Known(store, spaces)
        store.sources.merge(pa.Table.from_pylist([source_row(one, run.name) for one in todo], store.sources.schema))
        writer = Writer(store, Committer(store, spaces, update=update), todo, run=run.name)
        started = time.monotonic()
        totals = [one.total for one in todo]
        progress.begin("ingest", None if None in totals else sum(t for t in totals if t is not None))
        try:
            with (
                DecodePool([one.geometry for one in encoders], workers=workers, max_pixels=max_pixels) as pool,
                closing(pool.map(members_of(todo))) as chunks,
            ):
                # The networks load while the processes start.
                for one in encoders:
                    progress.note(one.note)
                started = time.monotonic()
                for chunk in chunks:
                    writer.add(chunk, _encode_lacking(chunk, encoders, known))
                    progress.advance(len(chunk.members), sum(one.rejected is not None for one in chunk.decoded))
                    if interrupted():
                        writer.flush(ended=False)
                        raise Interrupted(
                            f"stopped after {writer.members} members, all of them stored",
                            "give the same command again to go on",
                        )
            writer.finish()
        finally:
            writer.committer.close()
            report = writer.report(run.name, time.monotonic() - started, plans)
            run.result.update(counts(report), provenance=provenance(encoders))
    return report


def members_of(plans: Sequence[Plan]) -> Iterator[tuple[Plan, Member]]:
    """Yield the wanted members of every source; one that is cut off is noted and the next one follows."""
    for one in plans:
        try:
            for member in one.source.members(one.wanted):
                yield one, member
        except SourceCut as cut:
            one.cut = cut.message


def _encode_lacking(chunk: Chunk, encoders: Sequence[Encoder], known: Known) -> dict[str, Encoded]:
    """Return for each space the vectors of those good pictures that have none yet."""
    ids = [one.id for one in chunk.decoded if one.rejected is None]
    encoded = {}
    for one in encoders:
        lacking = known.lacking(one.space, ids)
        pixels = _picked(chunk.pictures(one.geometry), lacking)
        encoded[one.space] = Encoded(lacking, one.encode(pixels) if len(pixels) else np.empty((0, one.dim), np.float32))
    return encoded


def _picked(pixels: Pixels | list[Pixels], which: NDArray[np.bool_]) -> Pixels | list[Pixels]:
    if which.all():
        return pixels
    if isinstance(pixels, list):
        return [one for one, picked in zip(pixels, which, strict=True) if picked]
    picked = pixels[which]
    picked.setflags(write=False)
    return picked


def provenance(encoders: Sequence[Encoder]) -> list[dict[str, Any]]:
    """Return for each space what its vectors were made on and with."""
    return [{"space": one.space, "fingerprint": one.fingerprint, **one.provenance} for one in encoders]


def space_of(encoder: Encoder) -> Space:
    """Return the space that an encoder's vectors belong to."""
    recipe = encoder.recipe
    return Space(encoder.space, encoder.fingerprint, encoder.dim, recipe["spec"], {"weights": recipe.get("weights")})


def source_row(one: Plan, run: str) -> dict[str, Any]:
    """Return what the store keeps of a source: where it is, and how many members the ledger has once it has all."""
    return {
        "digest": one.digest,
        "path": one.source.path,
        "kind": one.source.kind,
        "stamp": one.stamp,
        "complete": one.complete,
        "members": len(one.done) + one.added,
        "cut": one.cut,
        "run": run,
    }


class Writer:
    """Collects chunks into blocks, hands them to the committer and keeps the counts of the run."""

    def __init__(self, store: Store, committer: Committer, plans: Sequence[Plan], *, run: str) -> None:
        self.store = store
        self.committer = committer
        self.plans = list(plans)
        self.ledger = partial(ledger_row, run=run)
        self.run = run
        self.block = Block()
        self.members = 0
        self.rejected = 0
        self.reasons: dict[str, int] = {}

    def add(self, chunk: Chunk, encoded: dict[str, Encoded]) -> None:
        rows = [
            self.ledger(one.digest, member, decoded)
            for one, member, decoded in zip(chunk.tags, chunk.members, chunk.decoded, strict=True)
        ]
        for one in chunk.tags:
            one.added += 1
        for decoded in chunk.decoded:
            if decoded.rejected is not None:
                self.rejected += 1
                kind = re.split(r":| \(| to ", decoded.rejected, maxsplit=1)[0]
                self.reasons[kind] = self.reasons.get(kind, 0) + 1
        self.members += len(rows)
        self.block.add(chunk, encoded, rows)
        for before, after in pairwise(chunk.tags):
            if before is not after:
                self._finished(before)
        if self.block.full():
            self.flush()

    def flush(self, *, ended: bool = True) -> None:
        """Hand the block over; unless all has `ended`, wait until it is written."""
        block, self.block = self.block, Block()
        self.committer.put(block)
        if not ended:
            self.committer.drain()

    def finish(self) -> None:
        """Mark every source as complete, with the last block, and wait until all is on the disk."""
        for one in self.plans:
            if not one.complete:
                self._finished(one)
        self.flush()
        self.committer.drain()

    def _finished(self, one: Plan) -> None:
        one.complete = True
        self.block.finished.append(source_row(one, self.run))

    def report(self, run: str, seconds: float, plans: Sequence[Plan]) -> Report:
        cut = [f"{Path(one.source.path).name}: {one.cut}" for one in plans if one.cut]
        return Report(run, self.members, self.committer.new_images, self.rejected, seconds, self.reasons, cut)


def counts(report: Report) -> dict[str, Any]:
    """Return a report as the `runs` table keeps it."""
    return {
        "members": report.members,
        "images": report.images,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "reasons": report.reasons,
        "seconds": round(report.seconds, 3),
        "images_per_second": report.images_per_second,
        "cut": report.cut,
    }
