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

from engine.encoders.base import Encoder, Vectors
from engine.errors import Interrupted, SourceCut, SourceError
from engine.ingestion.commit import BLOCK_BYTES, BLOCK_ROWS, BLOCK_SECONDS
from engine.ingestion.ingest import provenance, space_of
from engine.interrupt import deferred
from engine.progress import Progress, Silent
from engine.sources import open_source
from engine.sources.base import Member
from engine.store import Space, Store
from engine.store.table import in_list
from engine.store.vectors import id_array, sort_key, unit, vector_rows
from engine.versions import versions
from engine.workers import Chunk, DecodePool


@dataclass(frozen=True)
class Filled:
    """What one embed did: `rows` written; `changed` counts images whose bytes are no longer those that were stored."""

    run: str | None
    space: str
    rows: int = 0
    changed: int = 0
    seconds: float = 0.0


def missing(store: Store, space: Space, digests: Sequence[bytes] | None = None) -> dict[bytes, NDArray[np.int64]]:
    """Return, for each source, the ordinals (sorted) of the images without a vector in `space`; see `places`."""
    have = sort_key(id_array(store.vectors_table(space).read(["id"])["id"]))
    return places(store, lambda images: ~np.isin(images, have), digests)


def places(
    store: Store,
    chosen: Callable[[NDArray[np.bytes_]], NDArray[np.bool_]],
    digests: Sequence[bytes] | None = None,
) -> dict[bytes, NDArray[np.int64]]:
    """Return, for each source, the ordinals (sorted) at which the images that `chosen` picks can be read, each once.

    `digests` limits the sources.
    """
    where = "image IS NOT NULL AND removed IS NULL"
    if digests is not None:
        where += f" AND {in_list('source', digests)}"
    members = store.members.read(["source", "ordinal", "image"], where)
    # An image is read where it is now; only if no current listing has it, where it was.
    current = pa.array(list(store.current_sources()), pa.binary())
    members = members.append_column("past", pc.invert(pc.is_in(members["source"], value_set=current))).sort_by(
        [("past", "ascending"), ("source", "ascending"), ("ordinal", "ascending")]
    )
    images, first = np.unique(sort_key(id_array(members["image"])), return_index=True)
    found = members.take(pa.array(np.sort(first[chosen(images)])))
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
    aside: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Filled:
    """Encode every stored image that has no vector in the encoder's space, reading it from its source.

    With `aside` the vectors go into their table and the space's name goes on standing for what it did.
    Raises `FingerprintMismatch`, `SourceError` for a source that has moved, `Interrupted` after Ctrl-C.
    """
    progress = progress or Silent()
    space = space_of(encoder)
    places = missing(store, space, digests)
    total = sum(len(ordinals) for ordinals in places.values())
    if total == 0 and (aside or space.name in store.spaces()):
        if not aside:
            store.declare(space, "")
        return Filled(None, space.name)
    progress.note(encoder.note)
    with (
        store.lock(),
        deferred() as interrupted,
        store.run("embed", {"spaces": [space.name], "versions": versions()}) as run,
    ):
        if not aside:
            store.declare(space, run.name)
        writer = VectorWriter(store, space)
        progress.begin(f"embed {space.name}", total)
        started = time.monotonic()
        try:
            with (
                DecodePool([encoder.geometry], workers=workers, thumbnails=False, max_pixels=2**62) as pool,
                closing(pool.map(pixels_of(store, places))) as chunks,
            ):
                for chunk in chunks:
                    writer.add(chunk, encoder)
                    progress.advance(len(chunk.members))
                    if interrupted():
                        writer.commit()
                        raise Interrupted(
                            f"stopped after {writer.written} of {total} images, all of them stored",
                            "give the same command again to go on",
                        )
            writer.commit()
        finally:
            seconds = time.monotonic() - started
            counted = {"rows": writer.written, "changed": writer.changed, "seconds": round(seconds, 3)}
            run.result.update(counted, space=space.name, provenance=provenance([encoder]))
    return Filled(run.name, space.name, writer.written, writer.changed, seconds)


class VectorWriter:
    """Collects the vectors of stored images and writes them in blocks. `changed` counts what is not stored any more."""

    def __init__(self, store: Store, space: Space) -> None:
        self.space = space
        self.table = store.vectors_table(space)
        self.table.create()
        # Read under the lock: a removal may have gone before.
        self.stored = sort_key(id_array(store.images.read(["id"])["id"]))
        self.written = self.changed = 0
        self._clear()

    def _clear(self) -> None:
        self.ids: list[bytes] = []
        self.parts: list[Vectors] = []
        self.since = time.monotonic()

    def add(self, chunk: Chunk, encoder: Encoder) -> None:
        """Encode those pictures of a chunk that are still what is stored; commit when it is worth it."""
        good = [one.id for one in chunk.decoded if one.rejected is None]
        known = np.isin(np.array(good, "S32"), self.stored) if good else np.zeros(0, bool)
        self.changed += len(chunk.members) - int(known.sum())
        if known.any():
            self.parts.append(encoder.encode(chunk.pixels[encoder.geometry])[known])
            self.ids += [one for one, kept in zip(good, known, strict=True) if kept]
        full = len(self.ids) >= BLOCK_ROWS or len(self.ids) * self.space.dim * 4 >= BLOCK_BYTES
        if full or time.monotonic() - self.since > BLOCK_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write what has been collected."""
        if self.ids:
            self.written += self.table.merge(_rows(self.ids, self.parts, self.space))
        self._clear()


def _rows(ids: list[bytes], parts: list[Vectors], space: Space) -> pa.Table:
    """Return the rows with each id once: a source may have changed so that two members are now one image."""
    vectors = unit(np.concatenate(parts), space.name)
    first = {image: row for row, image in reversed(list(enumerate(ids)))}
    return vector_rows(list(first), vectors[list(first.values())])
