"""Seals: a file of the cache is trusted as long as it is as it was written.

A seal keeps a file's size, the checksum of its content, and a stamp (inode and times) that changes with every write.
While the stamp is the same nothing is read. Where it is another (a copied store, a backup, somebody else's hand) the
checksum decides.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 4 * 2**20
# The file beside what is sealed; under "seals" it holds the seal of each file by its path from there.
STATE = "state.json"
Seal = dict[str, Any]
Seals = dict[str, Seal]


def seal(path: Path, *, size: int | None = None, checksum: int | None = None) -> Seal:
    """Return the seal of a file, or of its first `size` bytes; `checksum` is theirs where it is known already."""
    stamp, whole = _stamp(path)
    count = whole if size is None else size
    return {"size": count, "checksum": crc(path, count) if checksum is None else checksum, "stamp": stamp}


def renewed(path: Path, sealed: Seal, *, read: bool = False) -> Seal | None:
    """Return the seal with the stamp the file has now, None if its content is not what was sealed.

    The content is looked at only if the stamp is another, or to `read` it is asked for. Raises `OSError` if there is no
    file.
    """
    stamp, whole = _stamp(path)
    if stamp == sealed["stamp"] and not read:
        return sealed
    same = whole >= sealed["size"] and crc(path, sealed["size"]) == sealed["checksum"]
    return {**sealed, "stamp": stamp} if same else None


def all_renewed(folder: Path, seals: Seals, *, read: bool = False) -> Seals | None:
    """Return the seals of files in `folder` as they are now, None if one of them is not as it was sealed."""
    found: Seals = {}
    for name, one in seals.items():
        now = renewed(folder / name, one, read=read)
        if now is None:
            return None
        found[name] = now
    return found


def broken(cache: Path) -> Iterator[Path]:
    """Yield each state file below `cache` that vouches for a file that is there and not as it was sealed."""
    for state in sorted(cache.rglob(STATE)):
        # One that is none, or names what is gone, vouches for nothing: what it belongs to is made anew.
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if all_renewed(state.parent, json.loads(state.read_text())["seals"], read=True) is None:
                yield state


def crc(path: Path, size: int) -> int:
    """Return the CRC-32 of the first `size` bytes, read in blocks."""
    found = 0
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, CHUNK))):
            found, size = zlib.crc32(block, found), size - len(block)
    return found


def _stamp(path: Path) -> tuple[list[int], int]:
    state = os.stat(path)
    return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns], state.st_size
