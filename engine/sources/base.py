"""What every source of images yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol


def everything(ordinal: int) -> bool:
    """Want every member."""
    return True


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a source, with its bytes or the reason why it has none.

    `ordinal` is the position among the source's regular files, rejected ones included. Directories, AppleDouble files
    and sidecars are not counted; links and devices, which are no regular files, count −1, −2, … so that they too have
    a place in the ledger. `offset` is where the bytes lie in the source file, or None where they are compressed.
    `shape` is (height, width) when the bytes are bare 8-bit grey pixels (IDX). `sidecar` maps the extension of each
    file that belongs to this one (WebDataset: `txt`, `cls`, `json`) to its text.
    """

    ordinal: int
    name: str
    data: bytes | None
    problem: str | None = None
    offset: int | None = None
    size: int = 0
    shape: tuple[int, int] | None = None
    sidecar: dict[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where images come from. Opening one reads nothing but its first bytes."""

    path: str
    kind: str

    def digest(self) -> bytes:
        """Return 16 bytes that change when the source does: size, modification time and member table."""
        ...

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (ordinal, name) of every member, in the order of `members`, reading no more bytes than it must."""
        ...

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the wanted members in order; raise `SourceCut` after the last good one if the source is cut off."""
        ...
