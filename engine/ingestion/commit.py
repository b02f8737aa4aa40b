"""One committer writes: what workers decoded and encoders encoded becomes rows, in blocks, the ledger last."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from engine.encoders.base import Vectors
from engine.ingestion.known import Encoded
from engine.sources.base import Member
from engine.store import Space, Store
from engine.store.durable import require_space
from engine.store.vectors import unit, vector_rows
from engine.workers import Chunk, Decoded

# A commit takes about 0.1 s whatever its size: with 2,048 rows 2 % of the time that the fastest model needs for them.
# A kill costs seconds, and two blocks in flight stay small.
BLOCK_ROWS = 2048
BLOCK_BYTES = 64 * 2**20
# A slow encoder commits what it has at least this often, so that a kill costs little.
BLOCK_SECONDS = 60.0


@dataclass
class Block:
    """Rows not yet committed, as columns. An image that occurs twice in a block has one row and two members."""

    members: list[dict[str, Any]] = field(default_factory=list)
    images: dict[bytes, Decoded] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    # By space: which images were encoded, and their vectors, part by part.
    encoded: dict[str, list[bytes]] = field(default_factory=dict)
    vectors: dict[str, list[Vectors]] = field(default_factory=dict)
    finished: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = 0
    since: float = field(default_factory=time.monotonic)

    def full(self) -> bool:
        """Say whether the block is worth a commit."""
        return (
            len(self.members) >= BLOCK_ROWS
            or self.bytes >= BLOCK_BYTES
            or (bool(self.members) and time.monotonic() - self.since > BLOCK_SECONDS)
        )

    def add(self, chunk: Chunk, encoded: Mapping[str, Encoded], rows: Sequence[dict[str, Any]]) -> None:
        """Take in a chunk: `encoded` is of the pictures not rejected, `rows` are the ledger's columns."""
        self.members += rows
        fresh, position = [], 0
        ids = [decoded.id for decoded in chunk.decoded if decoded.rejected is None]
        for member, decoded in zip(chunk.members, chunk.decoded, strict=True):
            if decoded.rejected is not None:
                continue
            if decoded.id not in self.images:
                self._image(member, decoded)
                fresh.append(position)
            position += 1
        for name, one in encoded.items():
            places, vectors = one.of(fresh)
            self.encoded.setdefault(name, []).extend(ids[place] for place in places)
            self.vectors.setdefault(name, []).append(vectors)
            self.bytes += vectors.nbytes

    def _image(self, member: Member, decoded: Decoded) -> None:
        data = member.data or b""
        thumbnail = data if decoded.thumbnail is None else decoded.thumbnail
        self.images[decoded.id] = decoded
        self.sizes.append(len(data))
        self.thumbnails.append(thumbnail)
        self.bytes += len(thumbnail)


class Committer:
    """Writes blocks in a thread of its own, one at a time: while one is committed the next is filled, no more."""

    def __init__(self, store: Store, spaces: Mapping[str, Space], *, update: str | None = None) -> None:
        self.store = store
        self.spaces = spaces
        self.update = update
        self.new_images = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="committer")
        self._pending: Future[None] | None = None

    def put(self, block: Block) -> None:
        """Commit `block` as soon as the one before it is done; raise what went wrong with that one."""
        self.drain()
        self._pending = self._thread.submit(self._commit, block)

    def drain(self) -> None:
        """Wait until everything handed over is on the disk."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _commit(self, block: Block) -> None:
        # Spaces and images first, each idempotent by id; the ledger last: what it names is there.
        require_space(self.store.path, 2 * block.bytes)
        ids = list(block.images)
        for name, parts in block.vectors.items():
            if encoded := block.encoded[name]:
                rows = vector_rows(encoded, unit(np.concatenate(parts), name))
                self.store.vectors_table(self.spaces[name]).merge(rows)
        if ids:
            self.store.thumbnails.merge(
                pa.table({"id": pa.array(ids, pa.binary()), "thumbnail": pa.array(block.thumbnails, pa.large_binary())})
            )
            self.new_images += self.store.images.merge(_image_rows(block))
        if block.members:
            self.store.members.merge(pa.Table.from_pylist(block.members, self.store.members.schema), update=self.update)
        if block.finished:
            self.store.sources.merge(pa.Table.from_pylist(block.finished, self.store.sources.schema), update="true")


def _image_rows(block: Block) -> pa.Table:
    images = list(block.images.values())
    return pa.table(
        {
            "id": pa.array(list(block.images), pa.binary()),
            "width": pa.array([one.width for one in images], pa.int32()),
            "height": pa.array([one.height for one in images], pa.int32()),
            "format": pa.array([one.format for one in images], pa.string()),
            "bytes": pa.array(block.sizes, pa.int64()),
        }
    )


def ledger_row(source: bytes, member: Member, decoded: Decoded, *, run: str) -> dict[str, Any]:
    """Return the one row that says what became of a member."""
    return {
        "source": source,
        "ordinal": member.ordinal,
        "name": member.name,
        "split": None,
        "offset": member.offset,
        "size": member.size,
        "image": decoded.id if decoded.rejected is None else None,
        "rejected": decoded.rejected,
        "removed": None,
        "sidecar": json.dumps(member.sidecar, ensure_ascii=False) if member.sidecar else None,
        "run": run,
    }
