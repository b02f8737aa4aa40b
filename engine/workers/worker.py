"""One decoding process, seen from the parent."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from typing import Any

from engine.encoders.base import Pixels
from engine.errors import EngineError
from engine.interrupt import left_to_parent
from engine.sources.base import Member
from engine.workers.task import CHUNK_BYTES, Decoded, Settings, Task, serve

SLOTS = 3
# A member and whatever its reader wants back with it.
Tagged = tuple[Any, Member]
CONTEXT = multiprocessing.get_context("spawn")


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
        with left_to_parent():
            self.process.start()
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
