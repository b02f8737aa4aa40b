"""Embed: fill a space for images that are stored already. Resumable: what has a vector is not encoded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.commit import BLOCK_BYTES, BLOCK_ROWS, BLOCK_SECONDS
from engine.encoders.base import Encoder, Vectors
from engine.errors import Interrupted, SourceCut, SourceError
from engine.ingest import provenance, space_of
from engine.interrupt import deferred
from engine.progress import Progress, Silent
from engine.sources import open_source
from engine.sources.base import Member
from engine.store import Space, Store
from engine.store.table import in_list
from engine.store.vectors import id_array, sort_key, unit, vector_rows
from engine.versions import versions
from engine.workers import DecodePool


@dataclass(frozen=True)
class Filled:
    """What one embed did: `rows` written; `changed` counts images whose bytes are no longer those that were stored."""

    run: str | None
    space: str
    rows: int = 0
    changed: int = 0
    seconds: float = 0.0


def missing(store: Store, space: Space, digests: Sequence[bytes] | None = None) -> dict[bytes, NDArray[np.int64]]:
    """Return, for each source, the ordinals (sorted) at which an image without a vector in `space` can be read.

    Each image is listed once, at its first member. `digests` limits the sources.
    """
    where = "image IS NOT NULL AND removed IS NULL"
    if digests is not None:
        where += f" AND {in_list('source', digests)}"
    members = store.members.read(["source", "ordinal", "image"], where).sort_by(
        [("source", "ascending"), ("ordinal", "ascending")]
    )
    have = sort_key(id_array(store.vectors_table(space).read(["id"])["id"]))
    images, first = np.unique(sort_key(id_array(members["image"])), return_index=True)
    lacking = np.sort(first[~np.isin(images, have)])
    found = members.take(pa.array(lacking))
    return {
        digest: np.sort(found.filter(pc.field("source") == pa.scalar(digest, pa.binary()))["ordinal"].to_numpy())
        for digest in pc.unique(found["source"]).to_pylist()
    }


def pixels_of(store: Store, places: dict[bytes, NDArray[np.int64]]) -> Iterator[tuple[bytes, Member]]:
    """Yield (source digest, member) with its bytes; raise `SourceError` if a source is not where it was."""
    rows = {row["digest"]: row for row in store.sources.rows()}
    for digest, ordinals in places.items():
        path = rows[digest]["path"]
        if not Path(path).exists():
            raise SourceError(
                f"{len(ordinals)} images are in {path}, which is gone", f"if it moved: engine relocate {path} NEW"
            )
        wanted = membership(ordinals)
        try:
            for member in open_source(path).members(wanted):
                yield digest, member
        except SourceCut:
            # The ledger holds what came before the cut, and only that is wanted.
            continue


def membership(ordinals: NDArray[np.int64]) -> Callable[[int], bool]:
    """Return the test whether an ordinal is one of `ordinals` (sorted)."""

    def wanted(ordinal: int) -> bool:
        place = np.searchsorted(ordinals, ordinal)
        return bool(place < len(ordinals) and ordinals[place] == ordinal)

    return wanted


def embed(
    store: Store,
    encoder: Encoder,
    *,
    digests: Sequence[bytes] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Filled:
    """Encode every stored image that has no vector in the encoder's space, reading it from its source.

    Raises `FingerprintMismatch`, `SourceError` for a source that has moved, `Interrupted` after Ctrl-C.
    """
    progress = progress or Silent()
    space = space_of(encoder)
    places = missing(store, space, digests)
    total = sum(len(ordinals) for ordinals in places.values())
    if total == 0 and space.name in store.spaces():
        store.declare(space, "")
        return Filled(None, space.name)
    run = store.begin("embed", {"spaces": [space.name], "versions": versions()})
    store.declare(space, run)
    started = time.monotonic()
    table = store.vectors_table(space)
    table.create()
    written = changed = 0
    progress.begin(f"embed {space.name}", total)
    ids: list[bytes] = []
    parts: list[Vectors] = []
    since = started

    def commit() -> int:
        nonlocal ids, parts, since
        rows = table.merge(_rows(ids, parts, space)) if ids else 0
        ids, parts, since = [], [], time.monotonic()
        return rows

    with store.lock(), deferred() as interrupted:
        # Read under the lock: a removal may have gone before.
        stored = sort_key(id_array(store.images.read(["id"])["id"]))
        try:
            with (
                DecodePool([encoder.geometry], workers=workers, thumbnails=False, max_pixels=2**62) as pool,
                closing(pool.map(pixels_of(store, places))) as chunks,
            ):
                for chunk in chunks:
                    good = [one.id for one in chunk.decoded if one.rejected is None]
                    known = np.isin(np.array(good, "S32"), stored) if good else np.zeros(0, bool)
                    changed += len(chunk.members) - int(known.sum())
                    if known.any():
                        parts.append(encoder.encode(chunk.pixels[encoder.geometry])[known])
                        ids += [one for one, kept in zip(good, known, strict=True) if kept]
                    progress.advance(len(chunk.members))
                    full = len(ids) >= BLOCK_ROWS or len(ids) * space.dim * 4 >= BLOCK_BYTES
                    if full or time.monotonic() - since > BLOCK_SECONDS:
                        written += commit()
                    if interrupted():
                        written += commit()
                        raise Interrupted(
                            f"stopped after {written} of {total} images, all of them stored",
                            "give the same command again to go on",
                        )
            written += commit()
        finally:
            seconds = time.monotonic() - started
            details = {"space": space.name, "rows": written, "changed": changed, "seconds": round(seconds, 3)}
            store.end(run, "embed", {**details, "provenance": provenance([encoder])})
    return Filled(run, space.name, written, changed, seconds)


def _rows(ids: list[bytes], parts: list[Vectors], space: Space) -> pa.Table:
    """Return the rows with each id once: a source may have changed so that two members are now one image."""
    vectors = unit(np.concatenate(parts), space.name)
    first = {image: row for row, image in reversed(list(enumerate(ids)))}
    return vector_rows(list(first), vectors[list(first.values())])
