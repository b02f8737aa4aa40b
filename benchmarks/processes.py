"""What a process and its descendants take: memory of their own, seconds, and what they printed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INTERVAL = 0.02


@dataclass(frozen=True)
class Ran:
    """A command that ended, its output, and what its tree took: `peak_bytes` of anonymous memory, sampled; seconds.

    Others on the machine stretch `processor_seconds`, of all threads, less than `seconds`.
    """

    code: int
    peak_bytes: int
    seconds: float
    processor_seconds: float
    stdout: str
    stderr: str

    @property
    def failure(self) -> str | None:
        """Return with what a command ended and the last line that it said, None if all went well."""
        said = self.stderr.strip().rpartition("\n")[2] or self.stdout.strip().rpartition("\n")[2]
        return f"exit {self.code}: {said}" if self.code else None


def watched(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end and return what it took."""
    # Files, because a pipe that nobody reads fills up and stops the command.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began, used = time.monotonic(), _children_used()
        process = subprocess.Popen(list(command), stdout=out, stderr=err, env=env)
        most = peak(process, anonymous, interval=INTERVAL)
        seconds, used = time.monotonic() - began, _children_used() - used
        out.seek(0)
        err.seek(0)
        return Ran(process.returncode, most, seconds, used, out.read(), err.read())


def _children_used() -> float:
    """Return the processor seconds of all children that ended, and of theirs."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def peak(process: subprocess.Popen[Any], measure: Callable[[int], int], *, interval: float) -> int:
    """Wait for a process and return the most that `measure` said of it and its descendants together.

    It is looked at every `interval` seconds. Whatever ends the waiting ends the process.
    """
    most = 0
    try:
        while process.poll() is None:
            most = max(most, sum(measure(pid) for pid in family(process.pid)))
            time.sleep(interval)
    finally:
        end(process)
    return most


def end(process: subprocess.Popen[Any]) -> None:
    """Kill a process that still runs, with its descendants, and wait for it."""
    if process.poll() is None:
        tree = family(process.pid)
        # First the one that could start others.
        process.kill()
        for pid in tree[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def is_running(pid: int) -> bool:
    """Say whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        # It ended while we looked.
        return found
    return found


def anonymous(pid: int) -> int:
    """Return the resident bytes of a process that no file backs: its own memory, and what it shares without a file."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    sizes = dict(line.split(":", 1) for line in lines)
    return sum(1024 * int(sizes[name].split()[0]) for name in ("RssAnon", "RssShmem") if name in sizes)


class Watch:
    """Samples the anonymous memory of this process and its descendants while a block runs.

    `peak_bytes` is None where there is no /proc.
    """

    def __init__(self) -> None:
        self.peak_bytes: int | None = None
        self.seconds = 0.0
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Watch:
        self._began = time.perf_counter()
        self._look()
        self._sampler.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._stop.set()
        self._sampler.join()
        self._look()

    def _sample(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._look()

    def _look(self) -> None:
        if Path("/proc/self/status").exists():
            now = sum(anonymous(pid) for pid in family(os.getpid()))
            self.peak_bytes = max(now, self.peak_bytes or 0)
