"""The thread that reads a source and hands chunks to whichever process has room."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from engine.workers.task import CHUNK_BYTES, CHUNK_MEMBERS
from engine.workers.worker import Tagged, Worker


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
