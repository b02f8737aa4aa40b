"""A competitor in a process of its own, on one core: neither its threads nor its memory mix with those of another."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Peer, Vectors
from benchmarks.processes import anonymous
from engine.interrupt import left_to_parent

# What the libraries read before they start; the core they are bound to does the rest.
THREADS = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS",
    )
}  # fmt: skip
# How often memory is looked at: every 5 ms at first, then 200 times in what it has taken so far. Each look walks all
# pages of the process, which costs a build of minutes a share of its time.
SAMPLE_SECONDS, SAMPLES = 0.005, 200


class Failed(Exception):
    """A competitor that is not installed, or that gave up."""


class Worker:
    """Builds or loads one competitor and asks it. Close it when done."""

    def __init__(self, reference: str, rows: Path, folder: Path, queries: Vectors) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, reference, rows, folder, queries), daemon=True)
        with _environment(THREADS), left_to_parent():
            self._process.start()
        other.close()

    def build(self) -> dict[str, Any]:
        """Return `params`, `efforts`, `seconds`, `size_bytes`, and the `peak_bytes` by which its own memory grew."""
        self._receive()
        pid = self._process.pid or 0
        before = most = anonymous(pid)
        self._pipe.send("build")
        began = time.monotonic()
        while not self._pipe.poll(max(SAMPLE_SECONDS, (time.monotonic() - began) / SAMPLES)):
            most = max(most, anonymous(pid))
        return {**self._receive(), "peak_bytes": most - before}

    def load(self) -> dict[str, Any]:
        """Take up what another worker built in the same folder; return `params` and `efforts`."""
        self._receive()
        self._pipe.send("load")
        return self._receive()

    def ask(self, first: int, last: int, k: int, effort: Effort, *, batch: bool) -> dict[str, Any]:
        """Return `seconds` of each call and the `ids` of each of the queries first … last − 1."""
        self._pipe.send((first, last, k, effort, batch))
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._pipe.recv()
        except EOFError:
            raise Failed("its process ended") from None
        if "failed" in answer:
            raise Failed(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def serve(pipe: Connection, reference: str, rows: Path, folder: Path, queries: Vectors) -> None:
    """Answer what comes through the pipe until it is closed; end with the race, also in the middle of a build."""
    Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    # A pipe that is closed: the race is over.
    with suppress(EOFError, OSError):
        try:
            if hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
            _serve(pipe, reference, rows, folder, queries)
        except ImportError as error:
            pipe.send({"failed": f"not installed ({error.name})"})
        except EOFError:
            raise
        except Exception as error:
            pipe.send({"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"})


def _end_with(race: BaseProcess | None) -> None:
    # Whoever is killed cannot end its children, and one that builds does not look at its pipe for an hour.
    if race is not None:
        race.join()
        os._exit(1)


def _serve(pipe: Connection, reference: str, rows: Path, folder: Path, queries: Vectors) -> None:
    module, _, name = reference.partition(":")
    peer: Peer = getattr(import_module(module), name)()
    X = np.asarray(np.load(rows, mmap_mode="r"))
    # The file's pages are in memory before anybody is timed.
    float(X.max())
    pipe.send({"ready": True})
    pipe.send(_loaded(peer, X, folder) if pipe.recv() == "load" else _built(peer, X, folder))
    while True:
        pipe.send(_answers(peer, queries, *pipe.recv()))


def _built(peer: Peer, X: Vectors, folder: Path) -> dict[str, Any]:
    began = time.perf_counter()
    peer.build(X, folder)
    seconds = time.perf_counter() - began
    return {**_known(peer), "size_bytes": peer.save(), "seconds": seconds}


def _loaded(peer: Peer, X: Vectors, folder: Path) -> dict[str, Any]:
    peer.load(X, folder)
    return _known(peer)


def _known(peer: Peer) -> dict[str, Any]:
    return {"params": dict(peer.params), "efforts": list(peer.efforts())}


def _answers(
    peer: Peer, queries: Vectors, first: int, last: int, k: int, effort: Effort, batch: bool
) -> dict[str, Any]:
    asked = queries[first:last]
    # The first call after a change of effort, or after others had the core, is not what is measured.
    peer.query(asked[0], k, effort)
    seconds, found = [], []
    if batch:
        began = time.perf_counter()
        found = list(peer.query_batch(asked, k, effort))
        seconds.append(time.perf_counter() - began)
    else:
        for q in asked:
            began = time.perf_counter()
            found.append(peer.query(q, k, effort))
            seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "ids": [one.tolist() for one in found]}
