"""The file of result lines: one line a row, flushed; what is in it is not measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import BadInput
from engine.store.durable import write_whole

Row = dict[str, Any]


# What a line must have to count as one.
PARTS = ("dataset", "space", "method", "params", "metrics", "seed", "available", "protocol", "quick", "key", "part")
RESULTS, BROKEN = "results.jsonl", ".broken"


class Results:
    """DIR/SUITE/results.jsonl. A job's rows carry its `key` and `part`, [number, of how many].

    A file with a line that is none raises `BadInput`; with `anew` it is kept under another name and begun again.
    """

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        self.path = path
        try:
            self._rows = list(read(path))
        except BadInput:
            if not anew:
                raise
            os.replace(path, path.with_name(path.name + BROKEN))
            self._rows = []

    def rows(self) -> list[Row]:
        """Return the rows, those of one job in the order of their number."""
        return list(self._rows)

    def done(self, key: str) -> list[Row]:
        """Return all rows of a job that was measured to its end, else none; one that had nothing to measure is none."""
        found = [one for one in self._rows if one["key"] == key]
        whole = bool(found) and len(found) == found[0]["part"][1]
        return found if whole and any(one["available"] for one in found) else []

    def put(self, rows: Iterable[Row]) -> None:
        """Write the rows of one job, in the place of what it had before, and see to it that they are on the disk."""
        new = list(rows)
        keys = {one["key"] for one in new}
        if any(one["key"] in keys for one in self._rows) or _cut(self.path):
            self._rows = [*(one for one in self._rows if one["key"] not in keys), *new]
            write(self.path, self._rows)
            return
        with self.path.open("a") as file:
            file.write("".join(json.dumps(one) + "\n" for one in new))
            file.flush()
            os.fsync(file.fileno())
        self._rows += new


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of result lines; raise `BadInput` for a line that is none.

    A last line that was cut off when the process was stopped does not count.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        row = _row(line)
        if row is not None:
            yield row
        elif line and number < len(lines):
            said = f"{path} line {number} is no result line"
            raise BadInput(said, f"take it out, or --recompute: the file becomes {path.name}{BROKEN}")


def _row(line: bytes) -> Row | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() >= set(PARTS) else None


def _cut(path: Path) -> bool:
    """Say whether a file does not end with the end of a line."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as the whole file; raise `DiskFull`."""
    write_whole(path, "".join(json.dumps(one) + "\n" for one in rows).encode())
