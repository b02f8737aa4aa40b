"""Many queries: the pictures of a source, rows of an array, names, or every stored image, in blocks of unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import AmbiguousName, BadInput, EmptySpace, EngineError, NoSuchImage, SourceCut
from engine.progress import Progress
from engine.retrieval.captions import Captions
from engine.retrieval.query import checked_shape, open_array
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.names import resolve
from engine.store.table import literal
from engine.store.vectors import unit

ROWS = 256


@dataclass(frozen=True)
class Block:
    """Queries: what each is called, its unit vector (q, dim) and its own row in the space (q,), −1 if not stored."""

    names: Sequence[str]
    points: NDArray[np.float32]
    own: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def part(self, start: int, end: int | None = None) -> Block:
        """Return some of the queries."""
        return Block(self.names[start:end], self.points[start:end], self.own[start:end])

    def joined(self, other: Block) -> Block:
        """Return the queries of both."""
        points = np.concatenate([self.points, other.points])
        return Block([*self.names, *other.names], points, np.concatenate([self.own, other.own]))


Blocks = Generator[Block, None, None]


def regrouped(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """Yield the same queries in blocks of `size`, the last one smaller."""
    held: Block | None = None
    for block in blocks:
        held = block if held is None else held.joined(block)
        while len(held) >= size:
            yield held.part(0, size)
            held = held.part(size)
    if held is not None and len(held):
        yield held


def of_one(name: str, point: NDArray[np.float32]) -> Blocks:
    """Yield one query."""
    yield Block([name], point, np.full(1, -1))


def query_rows(given: str | PathLike[str] | NDArray[Any], space: Space) -> NDArray[Any]:
    """Return the rows of an array or a .npy file, which is mapped into memory."""
    array = given if isinstance(given, np.ndarray) else open_array(given, space, mapped=True)
    return checked_shape(array, "the array" if isinstance(given, np.ndarray) else str(given), space)


def of_rows(rows: NDArray[Any], space: Space) -> Blocks:
    """Yield queries (n, dim); each is called by its number."""
    for start in range(0, len(rows), ROWS):
        part = np.asarray(rows[start : start + ROWS], np.float32)
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1) | ~part.any(axis=1))
        if len(bad):
            raise BadInput(f"row {start + bad[0]} of the queries is zero or not finite", "leave it out")
        yield Block([str(start + row) for row in range(len(part))], unit(part, space.name), np.full(len(part), -1))


def of_all(vectors: VectorCache, captions: Captions) -> Blocks:
    """Yield every stored image."""
    known = np.flatnonzero(captions.known)
    for start in range(0, len(known), ROWS):
        places = known[start : start + ROWS]
        yield Block(captions.take(places)["name"].to_pylist(), np.asarray(vectors.matrix[places]), places)


def of_names(
    store: Store,
    names: Sequence[str],
    space: Space,
    vectors: VectorCache,
    reject: Callable[[int, EngineError], None],
) -> Blocks:
    """Yield stored images by name.

    `reject` is told the row of a name that stands for none, for several or for one without a vector, and what is said
    of it; what it does not raise is left out.
    """
    for start in range(0, len(names), ROWS):
        some = list(names[start : start + ROWS])
        found = _resolved(store, some)
        ids = b"".join(one if isinstance(one, bytes) else bytes(ID_BYTES) for one in found)
        places = vectors.positions(np.frombuffer(ids, np.uint8).reshape(-1, ID_BYTES))
        for row, (name, one, place) in enumerate(zip(some, found, places, strict=True), start):
            if isinstance(one, EngineError):
                reject(row, one)
            elif place < 0:
                reject(row, EmptySpace(f"{name!r} has no vector in space {space.name!r}", space.remedy))
        good = np.flatnonzero(places >= 0)
        if len(good):
            yield Block([some[row] for row in good], np.asarray(vectors.matrix[places[good]]), places[good])


def read_names(path: str | PathLike[str]) -> dict[int, str]:
    """Return the lines of a text file that are not empty, by their number; raise `BadInput` if there are none."""
    remedy = "name a text file with an image's name on each line"
    try:
        # A name may hold what `splitlines` takes for the end of a line, U+2028 for instance.
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", remedy) from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text", remedy) from None
    names = {number: line for number, line in enumerate(lines, 1) if line.strip()}
    if not names:
        raise BadInput(f"{path} holds no name", remedy)
    return names


def _resolved(store: Store, names: Sequence[str]) -> list[bytes | EngineError]:
    """Return the ids of some names, or why one has none: exact member names all at once, what is left one by one."""
    wanted = ", ".join(literal(name) for name in set(names) if name.isprintable())
    exact: dict[str, set[bytes]] = {}
    if wanted:
        where = f"image IS NOT NULL AND removed IS NULL AND name IN ({wanted})"
        for row in store.members.rows(["name", "image"], where):
            exact.setdefault(row["name"], set()).add(row["image"])
    return [next(iter(exact[name])) if len(exact.get(name, ())) == 1 else _alone(store, name) for name in names]


def _alone(store: Store, name: str) -> bytes | EngineError:
    try:
        return resolve(store, name)
    except (NoSuchImage, AmbiguousName, BadInput) as error:
        return error


def of_source(
    store: Store,
    path: str | PathLike[str],
    space: Space,
    vectors: VectorCache,
    problems: list[str],
    progress: Progress,
    workers: int | None,
) -> Blocks:
    """Yield the pictures of whatever `ingest` reads, encoded as the space's are; note in `problems` what is none.

    Raises `SourceError` for a source that cannot be opened, `BadInput` for one without members.
    """
    # Only new pictures need an encoder and the processes that decode.
    from engine.retrieval.encode import encoder_of
    from engine.sources import expand, open_source
    from engine.workers import DecodePool

    sources = [open_source(one) for one in expand([str(path)])]
    encoder = encoder_of(store, space)
    geometries = [one.geometry for one in encoder.encoders]

    def reject(text: str) -> None:
        problems.append(text)
        progress.note(f"warning: {text}")

    def members() -> Iterator[tuple[None, Any]]:
        for source in sources:
            try:
                yield from ((None, member) for member in source.members())
            except SourceCut as cut:
                reject(f"{Path(source.path).name}: {cut.message}")

    def blocks() -> Blocks:
        seen = 0
        with (
            DecodePool(geometries, workers=workers, thumbnails=False) as pool,
            closing(pool.map(members())) as chunks,
        ):
            for chunk in chunks:
                seen += len(chunk.members)
                pairs = list(zip(chunk.members, chunk.decoded, strict=True))
                for member, one in pairs:
                    if one.rejected is not None:
                        reject(f"{member.name!r} is no query: {one.rejected}")
                good = [(member.name, one.id) for member, one in pairs if one.rejected is None]
                if good:
                    ids = np.frombuffer(b"".join(digest for _, digest in good), np.uint8).reshape(-1, ID_BYTES)
                    encoded = {one.space: one.encode(chunk.pictures(one.geometry)) for one in encoder.encoders}
                    points = encoder.joined(encoded)
                    yield Block([name for name, _ in good], points, vectors.positions(ids))
        if not seen:
            raise BadInput(f"there is no image in {path}", "name a folder, tar, zip, IDX or image file")

    return blocks()
