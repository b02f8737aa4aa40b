"""The store: one directory that is a LanceDB database and the only truth. Ids in, rows and matrices out."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from engine.errors import BadInput, DiskFull, EmptySpace, FingerprintMismatch, NoStore, StoreBusy
from engine.store import durable
from engine.store.schemas import TABLES, space_schema
from engine.store.table import CREATING, Table, literal
from engine.store.vectors import VectorCache

if TYPE_CHECKING:
    import lancedb

DEFAULT_SPACES = ("clip", "resnet", "efficientnet_lite0")


@dataclass(frozen=True)
class Space:
    """A named set of vectors: who made them (`encoder`, with what `recipe`) and the fingerprint they share."""

    name: str
    fingerprint: str
    dim: int
    encoder: str
    recipe: dict[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> str:
        return f"space_{self.name}_{self.fingerprint}"

    @property
    def remedy(self) -> str:
        """Return what fills the space where an image has no vector."""
        if self.encoder == "user":
            return f"bring it: engine ingest SOURCE --vectors {self.name}=FILE"
        if self.encoder == "fused":
            return f"fill its components: {', '.join(self.recipe['weights'])}"
        # Of a store's own models several can fill spaces of different names.
        named = f" --space {self.name}" if self.encoder.startswith("autoencoder:") else ""
        return f"run: engine embed --encoder {self.encoder}{named}"

    @property
    def virtual(self) -> bool:
        """Say whether the space has no table of its own: its scores are sums over its components."""
        return bool(self.recipe.get("virtual"))


@dataclass(frozen=True)
class Run:
    """A command that is writing; what it puts into `result` is recorded at its end."""

    name: str
    result: dict[str, Any]


class Store:
    """The tables under one directory. Opening it reads nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images, self.members, self.sources, self.spaces_table, self.thumbnails, self.labels, self.runs = (
            Table(path, name, TABLES[name])
            for name in ("images", "members", "sources", "spaces", "thumbnails", "labels", "runs")
        )
        self.maps = Table(path, "maps", TABLES["maps"])

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Return the store at `path`; raise `NoStore` if there is none."""
        store = cls(Path(path).absolute())
        if not store.members.exists():
            raise NoStore(f"there is no store at {path}", f"make one: engine ingest IMAGES --store {path}")
        return store

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Store:
        """Return the store at `path`, made if it is not there; raise `BadInput` if something else is."""
        store = cls(Path(path).absolute())
        for place in (store.path, *store.path.parents):
            if place.exists() and not place.is_dir():
                raise BadInput(f"{place} is a file, not a store", "name a directory with --store")
        if store.path.is_dir() and not store.members.exists():
            others = {entry.name for entry in os.scandir(store.path)} - {f"{name}.lance" for name in TABLES}
            if others - {"cache", ".lock", CREATING}:
                raise BadInput(
                    f"{path} holds other files, for instance {sorted(others)[0]!r}", "name an empty directory"
                )
        store.path.mkdir(parents=True, exist_ok=True)
        durable.fsync(store.path.parent)
        for name, schema in TABLES.items():
            Table(store.path, name, schema).create()
        return store

    @property
    def cache(self) -> Path:
        """Return the folder of what can be derived again and deleted at any time."""
        path = self.path / "cache"
        # A store that cannot be written can be searched all the same.
        with suppress(OSError):
            path.mkdir(exist_ok=True)
        return path

    @property
    def models(self) -> Path:
        """Return the folder of what was trained here."""
        path = self.path / "models"
        path.mkdir(exist_ok=True)
        return path

    @contextmanager
    def lock(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the store for writing: beside other writers, or `alone`, which raises `StoreBusy` while others write.

        Writers that only add are safe beside each other and wait for one that works alone. Taking something away
        (removal, compaction, repair) needs to know that nobody writes.
        """
        with open(self.path / ".lock", "w") as file:
            self._hold(file, alone=alone)
            yield

    @contextmanager
    def counted(self) -> Iterator[bool]:
        """Hold the store `alone` while it is counted; False where it cannot be written, and not surely be held.

        Nobody on this machine writes to a read-only disk; another machine may.
        """
        file = durable.lock_file(self.path / ".lock")
        if file is None:
            yield False
            return
        with file:
            self._hold(file, alone=True)
            yield file.writable()

    def _hold(self, file: IO[str], *, alone: bool) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            raise StoreBusy(
                f"another process is working on the store {self.path}", "wait for it, then try again"
            ) from None

    def database(self) -> lancedb.DBConnection:
        """Return the directory as a LanceDB database, for reading with LanceDB's own API."""
        import lancedb

        return lancedb.connect(self.path)

    # --- spaces ---

    def spaces(self) -> dict[str, Space]:
        """Return every space by name."""
        rows = self.spaces_table.few()
        return {
            row["name"]: Space(
                row["name"], row["fingerprint"], row["dim"], row["encoder"], json.loads(row["recipe"] or "{}")
            )
            for row in sorted(rows, key=lambda row: row["name"])
        }

    def default_space(self) -> str | None:
        """Return the space that answers when none is named: clip, else resnet, else the bundled CNN, else the first."""
        return _default(self.spaces())

    def space(self, name: str | None = None) -> Space:
        """Return the space called `name`, or the default one; raise `EmptySpace` if it is not there."""
        spaces = self.spaces()
        wanted = name or _default(spaces)
        if wanted is None:
            raise EmptySpace("the store has no vectors yet", "run: engine embed --encoder efficientnet_lite0")
        if wanted not in spaces:
            raise EmptySpace(
                f"there is no space {wanted!r}; there is {', '.join(spaces) or 'none'}",
                "list them: engine spaces",
            )
        return spaces[wanted]

    def declare(self, space: Space, run: str) -> Space:
        """Record the space, or raise `FingerprintMismatch` if its name stands for other vectors already."""
        known = self.spaces().get(space.name)
        if known is not None and known != space and not known.virtual and self.vectors_table(known).count() == 0:
            # Nothing came of it: the name is free again.
            self.spaces_table.delete(f"name = {literal(known.name)}")
            known = None
        if known is None:
            row = {**_columns(space), "run": run}
            self.spaces_table.merge(pa.Table.from_pylist([row], self.spaces_table.schema))
            known = self.spaces()[space.name]
        if (known.fingerprint, known.dim) != (space.fingerprint, space.dim):
            raise FingerprintMismatch(
                f"space {space.name!r} holds {known.dim}-d vectors of {known.encoder} with fingerprint "
                f"{known.fingerprint}; this is {space.encoder}, {space.dim}-d, with {space.fingerprint}",
                "store them under another name: --space NAME",
            )
        return known

    def point(self, spaces: Sequence[Space], run: str) -> None:
        """Let the names of `spaces` stand for these from now on, all of them in one commit.

        The tables they stood for until now stay where they are for whoever is reading them, until `engine compact`.
        """
        rows = [{**_columns(space), "run": run} for space in spaces]
        self.spaces_table.merge(pa.Table.from_pylist(rows, self.spaces_table.schema), update="true")

    def unpointed(self) -> list[Table]:
        """Return the tables of vectors that no space points to: replaced, or filled by a training that was killed."""
        named = {space.table for space in self.spaces().values()}
        found = sorted(path.stem for path in self.path.glob("space_*.lance"))
        return [Table(self.path, name, space_schema(1)) for name in found if name not in named]

    def vectors_table(self, space: Space) -> Table:
        return Table(self.path, space.table, space_schema(space.dim))

    def vectors(self, space: Space) -> VectorCache:
        """Return the ids and vectors of a space as one memory-mapped matrix, brought up to date."""
        return VectorCache.load(self.vectors_table(space), self.cache / "vectors" / space.table)

    # --- runs ---

    def begin(self, command: str, details: dict[str, Any]) -> str:
        """Record that a command begins to write; return the name of its run."""
        run = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(2)}"
        self._event(run, "start", command, details)
        return run

    @contextmanager
    def run(self, command: str, details: dict[str, Any]) -> Iterator[Run]:
        """Record a command that writes, with what it found out; also when it fails."""
        current = Run(self.begin(command, details), {})
        try:
            yield current
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
            # Where there is no room left the run stays without an end, which says enough.
            with suppress(DiskFull):
                self.end(current.name, command, {**current.result, "error": reason})
            raise
        self.end(current.name, command, current.result)

    def end(self, run: str, command: str, details: dict[str, Any]) -> None:
        self._event(run, "end", command, details)

    def _event(self, run: str, event: str, command: str, details: dict[str, Any]) -> None:
        # Half a character, as in a path that is not UTF-8, is what no other reader of JSON takes.
        text = json.dumps(details, sort_keys=True, ensure_ascii=False).encode(errors="replace").decode()
        row = {"run": run, "event": event, "time": time.time(), "command": command, "details": text}
        self.runs.merge(pa.Table.from_pylist([row], self.runs.schema))

    def measured_rate(self) -> float | None:
        """Return the images a second of the last ingest that took in a thousand or more."""
        rows = sorted(
            self.runs.rows(["time", "details"], "event = 'end' AND command = 'ingest'"), key=lambda r: r["time"]
        )
        found = [json.loads(row["details"]) for row in rows]
        rates = [one["images_per_second"] for one in found if one["members"] >= 1000 and one["images_per_second"]]
        return rates[-1] if rates else None

    def precision(self, space: Space) -> str | None:
        """Return the precision at which every run that filled the space ran; None if they differ or did not say."""
        found = {
            provenance.get("precision")
            for row in self.runs.rows(["details"], "event = 'end'")
            for provenance in json.loads(row["details"]).get("provenance", [])
            if provenance.get("space") == space.name
        }
        return found.pop() if len(found) == 1 else None

    def current_sources(self) -> dict[bytes, dict[str, Any]]:
        """Return the sources by digest, less those whose path was ingested again since in another state.

        A folder that grew is a new source: the ordinals of the old listing point to other files now.
        """
        began = {row["run"]: row["time"] for row in self.runs.rows(["run", "time"], "event = 'start'")}
        rows = sorted(self.sources.rows(), key=lambda row: began.get(row["run"], 0.0))
        newest = {row["path"]: row["digest"] for row in rows}
        return {row["digest"]: row for row in rows if newest[row["path"]] == row["digest"]}

    # --- what is known ---

    def known(self, digest: bytes, *, again: str = "false") -> np.ndarray:
        """Return the sorted ordinals (int64) of a source that the ledger has, less those that meet `again`."""
        rows = self.members.read(["ordinal"], f"source = {literal(digest)} AND NOT ({again})")
        return np.sort(rows["ordinal"].to_numpy())

    def versions(self, tables: Sequence[Table] | None = None) -> dict[str, int]:
        """Return the version of each table, which says exactly what state an answer is from."""
        chosen = tables if tables is not None else self.tables()
        return {table.name: table.version() for table in chosen}

    def tables(self) -> list[Table]:
        """Return every table of the store, the spaces' included."""
        fixed = [Table(self.path, name, schema) for name, schema in TABLES.items()]
        return fixed + [self.vectors_table(space) for space in self.spaces().values() if not space.virtual]


def _default(spaces: Mapping[str, Space]) -> str | None:
    for name in DEFAULT_SPACES:
        if name in spaces:
            return name
    # What was learnt here without labels answers only where there is nothing else.
    rest = [name for name, space in spaces.items() if space.encoder != "fused"]
    return min(rest, key=lambda name: spaces[name].encoder.startswith("autoencoder:"), default=None)


def _columns(space: Space) -> dict[str, Any]:
    recipe = json.dumps(space.recipe, sort_keys=True)
    return {
        "name": space.name,
        "fingerprint": space.fingerprint,
        "dim": space.dim,
        "encoder": space.encoder,
        "recipe": recipe,
    }
