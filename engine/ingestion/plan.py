"""What is to be done with each source: what the ledger has already is dropped before a byte is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from engine.errors import SourceCut
from engine.sources.base import Source
from engine.sources.file import is_compressed
from engine.store import Store


@dataclass
class Plan:
    """What is to be done with one source: `done` are the sorted ordinals that the ledger has already.

    `added` counts the members that were read in this run.
    """

    source: Source
    digest: bytes
    stamp: str
    total: int | None
    done: np.ndarray
    complete: bool = False
    cut: str | None = None
    added: int = 0

    def wanted(self, ordinal: int) -> bool:
        place = np.searchsorted(self.done, ordinal)
        return not (place < len(self.done) and self.done[place] == ordinal)


def plan(store: Store, sources: Sequence[Source], *, again: str = "false") -> list[Plan]:
    """Return what each source still needs; a source that is given twice is planned once.

    `again` is an SQL condition on the ledger: members that meet it are done again.
    """
    known = {(row["path"], row["stamp"]): row for row in store.sources.rows() if row["complete"]}
    plans: dict[bytes, Plan] = {}
    for source in sources:
        stamp = stamp_of(source)
        row = known.get((source.path, stamp))
        if row is not None and stamp and again == "false":
            # The file is the one that was ingested to its end: nothing to list, nothing to read.
            plans[row["digest"]] = Plan(source, row["digest"], stamp, 0, np.empty(0, np.int64), True, row["cut"])
            continue
        digest = source.digest()
        done = store.known(digest, again=again)
        total = count(source)
        plans[digest] = Plan(source, digest, stamp, None if total is None else max(0, total - len(done)), done)
    return list(plans.values())


def count(source: Source) -> int | None:
    """Return how many members a source has, or None where only decompressing all of it would tell."""
    return None if _packed(source) else sum(1 for _ in listed(source))


def listed(source: Source) -> Iterator[str]:
    """Yield the name of every member, none where only decompressing all of the source would tell."""
    # A source that is cut off says so when its members are read.
    with suppress(SourceCut):
        yield from (() if _packed(source) else (name for _, name in source.names()))


def _packed(source: Source) -> bool:
    return source.kind != "folder" and is_compressed(source.path)


def stamp_of(source: Source) -> str:
    """Return size and modification time of a file; nothing for a folder, which says nothing of what is in it."""
    if os.path.isdir(source.path):
        return ""
    state = os.stat(source.path)
    return f"{state.st_size}:{state.st_mtime_ns}"
