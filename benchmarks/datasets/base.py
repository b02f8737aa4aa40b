"""What a data set of the benchmarks is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.errors import EngineError
from engine.progress import Progress, Silent

AS_PUBLISHED = "as published"
REENCODED = "re-encoded as JPEG"
# What a store and vectors of the user's own are called by: never like a data set, whatever their file is called.
OWN_STORE, OWN_VECTORS = "store-", "vectors-"


class Unavailable(EngineError):
    """A data set, or what a run needs beside it, is not on this machine; its rows say so."""


@dataclass(frozen=True)
class Place:
    """Where to look: the folder of data sets, one for what is made of them, and whether to download what is missing.

    `quick` asks for a small part, where a data set has one.
    """

    data: Path
    scratch: Path
    download: bool = False
    quick: bool = False
    progress: Progress = Silent()  # noqa: RUF009 — it holds nothing


@dataclass(frozen=True)
class Found:
    """A data set on this machine, as `engine ingest` takes it.

    `collection` names the store that it shares with its subsets. `labels` are CSV files image,label[,split] by role,
    `given` or `truth`; without any, folders name the classes, as truth. `pixels` says how far the pictures are those
    that were published. `left_out` are classes that do not count, `kept`, if not empty, those that alone do. `store` is
    one that the user has.
    """

    name: str
    collection: str
    sources: Sequence[Path] = ()
    labels: Mapping[str, Path] = field(default_factory=dict)
    pixels: str = AS_PUBLISHED
    left_out: Sequence[str] = ()
    kept: Sequence[str] = ()
    store: Path | None = None


class Dataset(Protocol):
    """A member writes `find`. Construction with its name reads nothing."""

    @property
    def name(self) -> str: ...

    def find(self, place: Place) -> Found:
        """Return what was found; raise `Unavailable` with what to do."""
        ...
