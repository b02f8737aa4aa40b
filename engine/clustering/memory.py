"""What a method may take: judged before it starts, against what the machine has left."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import BadInput
from engine.progress import Progress

MIB, GIB = 2**20, 2**30


def available() -> int:
    """Return the bytes of memory that can be had without pushing others out, by what the system says of itself."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        # Not Linux, or a Linux that hides it.
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def require_memory(what: str, needed: int, remedy: str, progress: Progress) -> None:
    """Say what a method takes; raise `BadInput` with the alternative if there is less."""
    left = available()
    progress.note(f"{what}: about {_told(needed)} of memory, {_told(left)} are free")
    if needed > left:
        raise BadInput(f"{what} takes about {_told(needed)} of memory, {_told(left)} are free", remedy)


def _told(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{-(-size // MIB)} MiB"
