"""All decoding processes together: members in, chunks out, in order."""

from __future__ import annotations

import queue
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from engine import decode
from engine.encoders.base import Geometry, Pixels
from engine.encoders.machine import cores
from engine.sources.base import Member
from engine.workers.feeder import Feeder
from engine.workers.task import Decoded, Settings, Task
from engine.workers.worker import SLOTS, Tagged, Worker

# This many processes must die alone with a picture before it is blamed: one may have been killed from outside.
TRIES = 2


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

    def pictures(self, geometry: Geometry | None) -> Pixels | list[Pixels]:
        """Return the pictures for a geometry, read-only: an encoder that wrote into them would spoil the next one's."""
        found = self.pixels[geometry]
        for array in found if isinstance(found, list) else [found]:
            array.setflags(write=False)
        return found


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
