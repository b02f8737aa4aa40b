"""What a decoding process is asked to do, and does: hash, decode, resize, make thumbnails."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from engine import decode
from engine.encoders.base import Geometry, Pixels, decoding_side, prepared

CHUNK_MEMBERS = 32
CHUNK_BYTES = 4 * 2**20
NICENESS = 10


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of one member's bytes: `thumbnail` is None where they are their own, `rejected` is the reason."""

    id: bytes = b""
    width: int = 0
    height: int = 0
    format: str = ""
    thumbnail: bytes | None = None
    rejected: str | None = None


@dataclass(frozen=True)
class Task:
    """What a process is asked to do: decode `items` into its slot of shared memory."""

    number: int
    slot: int
    # (offset and length in the slot's memory, or the bytes themselves where they do not fit; shape of bare pixels)
    items: Sequence[tuple[tuple[int, int] | bytes, tuple[int, int] | None]]


@dataclass(frozen=True)
class Settings:
    """What all processes of a pool do with a picture, and from it how a slot of shared memory is divided."""

    geometries: tuple[Geometry | None, ...]
    thumbnails: bool
    max_pixels: int

    @property
    def sides(self) -> list[Geometry]:
        return [geometry for geometry in self.geometries if geometry is not None]

    @property
    def slot_bytes(self) -> int:
        return CHUNK_BYTES + CHUNK_MEMBERS * sum(3 * geometry.side**2 for geometry in self.sides)

    def views(self, memory: Any, slot: int) -> tuple[memoryview, dict[Geometry, Pixels]]:
        """Return a slot's room for bytes, and for each geometry its room for pictures."""
        start = slot * self.slot_bytes
        data = memoryview(memory).cast("B")[start : start + CHUNK_BYTES]
        pictures, offset = {}, start + CHUNK_BYTES
        for geometry in self.sides:
            shape = (CHUNK_MEMBERS, geometry.side, geometry.side, 3)
            pictures[geometry] = np.frombuffer(memory, np.uint8, int(np.prod(shape)), offset).reshape(shape)
            offset += int(np.prod(shape))
        return data, pictures


def serve(connection: Connection, memory: Any, settings: Settings) -> None:
    """Greet, then answer tasks until the parent is gone."""
    # The model goes first: it waits for its slowest thread after every chunk, decoding has chunks to spare.
    os.nice(NICENESS)
    with suppress(EOFError, OSError):
        connection.send(None)
        while True:
            task: Task = connection.recv()
            connection.send(_answer(task, memory, settings))


def _answer(task: Task, memory: Any, settings: Settings) -> Any:
    try:
        return task.number, *_work(task, memory, settings)
    except Exception as error:
        # A fault of ours and not of a picture's: it ends the run instead of rejecting good pictures.
        return RuntimeError(f"{type(error).__name__} in a decoding process: {error}")


def _work(task: Task, memory: Any, settings: Settings) -> tuple[list[Decoded], list[Pixels]]:
    """Decode a task's pictures into its slot; return what became of each, and pictures without a geometry."""
    data, pictures = settings.views(memory, task.slot)
    decoded, free, row = [], [], 0
    for place, shape in task.items:
        raw = place if isinstance(place, bytes) else bytes(data[place[0] : sum(place)])
        one, image = _decode(raw, shape, settings)
        decoded.append(one)
        if image is None:
            continue
        for geometry, room in pictures.items():
            room[row] = prepared(geometry, image)
        if None in settings.geometries:
            free.append(prepared(None, image))
        row += 1
    return decoded, free


def _decode(raw: bytes, shape: tuple[int, int] | None, settings: Settings) -> tuple[Decoded, Any]:
    side = decoding_side(settings.geometries)
    try:
        picture = decode.decode(raw, shape=shape, max_pixels=settings.max_pixels, draft_side=side)
        thumbnail = None
        if settings.thumbnails and not picture.own_thumbnail:
            thumbnail = decode.thumbnail(picture, raw)
    except decode.Rejected as reason:
        return Decoded(rejected=str(reason)), None
    digest = hashlib.sha256(raw).digest()
    return Decoded(digest, picture.width, picture.height, picture.format, thumbnail), picture.image
