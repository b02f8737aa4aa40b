"""Spawned processes that hash, decode, resize and make thumbnails while the model runs.

Bytes go in and pixels come back through shared memory that belongs to no file system path, so that nothing is left
behind when everything is killed. A picture that takes its decoder process down is found and rejected; the run goes on.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from engine import decode
from engine.encoders.base import Geometry, Pixels, decoding_side, prepared
from engine.errors import EngineError
from engine.sources.base import Member

CHUNK_MEMBERS = 32
CHUNK_BYTES = 4 * 2**20
SLOTS = 3
NICENESS = 10
# This many processes must die alone with a picture before it is blamed: one may have been killed from outside.
TRIES = 2
# A member and whatever its reader wants back with it.
Tagged = tuple[Any, Member]
CONTEXT = multiprocessing.get_context("spawn")


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
class Chunk:
    """Members with what became of them; `pixels` has, for each geometry, the pictures of those not rejected.

    `tags` are what each member was handed in with.

    With a geometry the pictures are uint8 (n, side, side, 3) in memory that is used again after the next chunk is
    asked for; without one, a list of arrays (h, w, 3).
    """

    tags: Sequence[Any]
    members: Sequence[Member]
    decoded: Sequence[Decoded]
    pixels: dict[Geometry | None, Pixels | list[Pixels]]


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


# --- inside a worker ---


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


# --- the parent's side ---


class Worker:
    """One process, its pipe and its slots of shared memory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # Backed by an unlinked temporary file: nothing to clean up, whatever is killed.
        self.memory = CONTEXT.RawArray("B", SLOTS * settings.slot_bytes)
        self.tasks: dict[int, tuple[Task, Sequence[Tagged]]] = {}
        # Held while a task is sent, so that the process is not replaced under it.
        self.sending = threading.Lock()
        self.start()

    def start(self) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=serve, args=(theirs, self.memory, self.settings), daemon=True)
        self.greeted = False
        # Ctrl-C goes to the whole process group; the parent decides what is finished first. The tracker's start, which
        # would come with the first process's, unblocks it again.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()

    def greet(self) -> None:
        """Wait until the process is up: if it dies before, no picture is to blame. Raise `EngineError` if it does."""
        try:
            self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            raise EngineError(
                f"a decoding process did not start (exit code {self.process.exitcode})",
                "in a script of your own, call the engine below: if __name__ == '__main__':",
            ) from None
        self.greeted = True

    def submit(self, number: int, slot: int, members: Sequence[Tagged]) -> None:
        data, _ = self.settings.views(self.memory, slot)
        items: list[tuple[tuple[int, int] | bytes, tuple[int, int] | None]] = []
        end = 0
        for _, member in members:
            raw = member.data or b""
            if end + len(raw) <= CHUNK_BYTES:
                data[end : end + len(raw)] = raw
                items.append(((end, len(raw)), member.shape))
                end += len(raw)
            else:
                items.append((raw, member.shape))
        task = Task(number, slot, items)
        self.tasks[number] = (task, members)
        self.connection.send(task)

    def receive(self) -> tuple[int, list[Decoded], list[Pixels]]:
        """Return the next answer; raise what the process met, or `EOFError` if it died."""
        answer = self.connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def stop(self) -> None:
        self.connection.close()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()


class DecodePool:
    """Decodes a stream of members in `workers` processes, answers in order. Use as a context manager."""

    def __init__(
        self,
        geometries: Iterable[Geometry | None],
        *,
        workers: int | None = None,
        thumbnails: bool = True,
        max_pixels: int = decode.DEFAULT_MAX_PIXELS,
    ) -> None:
        settings = Settings(tuple(dict.fromkeys(geometries)), thumbnails, max_pixels)
        self.workers = [Worker(settings) for _ in range(workers or cores())]
        self.settings = settings

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.stop()

    def map(self, members: Iterable[Tagged]) -> Generator[Chunk, None, None]:
        """Yield the members in chunks, decoded; an error of the source is raised after what came before it."""
        free: queue.SimpleQueue[tuple[Worker, int] | None] = queue.SimpleQueue()
        for slot in range(SLOTS):
            for worker in self.workers:
                free.put((worker, slot))
        feeder = Feeder(members, free)
        feeder.start()
        ready: dict[int, tuple[Worker, Task, Sequence[Tagged], list[Decoded], list[Pixels]]] = {}
        number = 0
        try:
            while number < feeder.fed or not feeder.finished.is_set():
                if number not in ready:
                    self._collect(ready)
                    continue
                worker, task, sent, decoded, pictures = ready.pop(number)
                yield self._chunk(worker, task, sent, decoded, pictures)
                free.put((worker, task.slot))
                number += 1
        finally:
            if not feeder.finished.is_set():
                # Given up: the feeder may be waiting for a process that waits for us to take its answer.
                for worker in self.workers:
                    worker.process.kill()
            feeder.stop()
        if feeder.error is not None:
            raise feeder.error

    def _collect(self, ready: dict[int, Any]) -> None:
        """Take in whatever the workers have finished; bring back those that died."""
        connections = {worker.connection: worker for worker in self.workers}
        for connection in wait(list(connections), timeout=0.05):
            worker = connections[connection]  # type: ignore[index]
            if not worker.greeted:
                worker.greet()
                continue
            try:
                number, decoded, pictures = worker.receive()
            except (EOFError, ConnectionResetError):
                self._revive(worker, ready)
                continue
            task, members = worker.tasks.pop(number)
            ready[number] = (worker, task, members, decoded, pictures)

    def _revive(self, worker: Worker, ready: dict[int, Any]) -> None:
        """Start a dead worker again and do its tasks member by member, to reject only what kills it."""
        with worker.sending:
            worker.process.join()
            lost, worker.tasks = worker.tasks, {}
            worker.start()
            worker.greet()
            for number, (task, members) in sorted(lost.items()):
                ready[number] = (worker, task, members, *self._one_by_one(worker, task, members))

    def _one_by_one(self, worker: Worker, task: Task, members: Sequence[Tagged]) -> tuple[list[Decoded], list[Pixels]]:
        all_decoded: list[Decoded] = []
        pictures: list[Pixels] = []
        kept: list[dict[Geometry, Pixels]] = []
        _, rooms = self.settings.views(worker.memory, task.slot)
        for member in members:
            decoded, free = self._alone(worker, task.slot, member)
            all_decoded += decoded
            pictures += free
            if decoded[0].rejected is None:
                kept.append({geometry: room[0].copy() for geometry, room in rooms.items()})
        for row, images in enumerate(kept):
            for geometry, pixels in images.items():
                rooms[geometry][row] = pixels
        return all_decoded, pictures

    def _alone(self, worker: Worker, slot: int, member: Tagged) -> tuple[list[Decoded], list[Pixels]]:
        reason = ""
        for _ in range(TRIES):
            try:
                worker.submit(-1, slot, [member])
                _, decoded, free = worker.receive()
                return decoded, free
            except (EOFError, OSError):
                worker.process.join()
                reason = f"its decoder died (exit code {worker.process.exitcode})"
                worker.start()
                worker.greet()
            finally:
                worker.tasks.pop(-1, None)
        return [Decoded(rejected=reason)], []

    def _chunk(
        self, worker: Worker, task: Task, sent: Sequence[Tagged], decoded: list[Decoded], pictures: list[Pixels]
    ) -> Chunk:
        _, rooms = self.settings.views(worker.memory, task.slot)
        tags, members = zip(*sent, strict=True)
        decoded = [
            Decoded(rejected=member.problem) if member.problem else one
            for member, one in zip(members, decoded, strict=True)
        ]
        good = sum(one.rejected is None for one in decoded)
        pixels: dict[Geometry | None, Pixels | list[Pixels]] = {
            geometry: room[:good] for geometry, room in rooms.items()
        }
        if None in self.settings.geometries:
            pixels[None] = pictures
        return Chunk(tags, members, decoded, pixels)


class Feeder(threading.Thread):
    """Reads the source and hands chunks to whichever worker has a free slot."""

    def __init__(self, members: Iterable[Tagged], free: queue.SimpleQueue[tuple[Worker, int] | None]) -> None:
        super().__init__(daemon=True)
        self.source = members
        self.free = free
        self.fed = 0
        self.error: BaseException | None = None
        self.finished = threading.Event()
        self.stopping = threading.Event()

    def stop(self) -> None:
        self.stopping.set()
        self.free.put(None)
        self.join()

    def run(self) -> None:
        try:
            for members in chunked(self.source):
                place = self.free.get()
                if place is None or self.stopping.is_set():
                    return
                self._send(*place, members)
        except BaseException as error:
            # Raised again in the thread that reads the answers, after what came before.
            self.error = error
        finally:
            self.finished.set()

    def _send(self, worker: Worker, slot: int, members: Sequence[Tagged]) -> None:
        # A worker that died has the task on its list: its successor does it.
        with worker.sending, suppress(OSError):
            worker.submit(self.fed, slot, members)
        self.fed += 1


def chunked(members: Iterable[Tagged]) -> Iterator[list[Tagged]]:
    """Yield runs of at most CHUNK_MEMBERS members and about CHUNK_BYTES bytes; the last one before an error too."""
    chunk: list[Tagged] = []
    held = 0
    try:
        for tag, member in members:
            size = len(member.data or b"")
            if len(chunk) == CHUNK_MEMBERS or (chunk and held + size > CHUNK_BYTES):
                yield chunk
                chunk, held = [], 0
            chunk.append((tag, member))
            held += size
    except GeneratorExit:
        raise
    except BaseException:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
