"""The file of result lines: appended to, one line a row, flushed; what is in it is not measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.errors import BadInput

Row = dict[str, Any]


class Results:
    """DIR/SUITE/results.jsonl. A job's rows carry its `key` and `part`, [number, of how many]."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = list(read(path))

    def rows(self) -> list[Row]:
        """Return the rows that count: of those of one key and number the last, in the order of their first."""
        newest = {(one.get("key"), *one.get("part", (0, 1))[:1]): one for one in self._rows}
        return list(newest.values())

    def done(self, key: str) -> list[Row]:
        """Return all rows of a job that was measured to its end, else none; one that had nothing to measure is none."""
        found = [one for one in self.rows() if one.get("key") == key]
        whole = bool(found) and len(found) == found[0]["part"][1]
        return found if whole and any(one["available"] for one in found) else []

    def append(self, rows: Iterable[Row]) -> None:
        """Write the rows of one job behind the others and see to it that they are on the disk."""
        new = list(rows)
        with self.path.open("a") as file:
            file.write("".join(json.dumps(one) + "\n" for one in new))
            file.flush()
            os.fsync(file.fileno())
        self._rows += new

    def forget(self, which: Callable[[Row], bool]) -> None:
        """Take out the rows that `which` picks."""
        write(self.path, [one for one in self._rows if not which(one)])
        self._rows = list(read(self.path))


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of result lines; raise `BadInput` for a line that is none.

    A last line without its end was cut off when the process was stopped: it is taken away and measured again.
    """
    if not path.exists():
        return
    text = path.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.truncate(path, whole)
    for number, line in enumerate(text[:whole].splitlines(), 1):
        try:
            yield json.loads(line)
        except ValueError:
            raise BadInput(f"{path} line {number} is no JSON", "take it out, or measure anew: --recompute") from None


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as the whole file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    scratch.write_text("".join(json.dumps(one) + "\n" for one in rows))
    os.replace(scratch, path)
