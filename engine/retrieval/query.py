"""Query: pictures, names of stored images, vectors, likes and unlikes → one unit vector of a space."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import AmbiguousName, BadInput, EmptySpace, NoSuchImage
from engine.store import Space, Store, VectorCache
from engine.store.names import resolve
from engine.store.vectors import unit

if TYPE_CHECKING:
    from engine.retrieval.encode import Picture


@dataclass(frozen=True)
class Query:
    """What is looked for: pictures, names of stored images, vectors. Several are averaged at unit length.

    `images` are paths, PIL images or uint8 arrays; `vectors` are .npy files or arrays (dim,) or (n, dim). `like` and
    `unlike` are examples, each a stored image's name or a picture: more like those and less like these.
    """

    images: Sequence[Picture] = ()
    names: Sequence[str] = ()
    vectors: Sequence[str | PathLike[str] | NDArray[Any]] = ()
    like: Sequence[Picture] = ()
    unlike: Sequence[Picture] = ()

    def __str__(self) -> str:
        parts = [*map(shown, self.images), *self.names, *map(_written, self.vectors), *map(_written, self.like)]
        return ", ".join([*parts, *(f"not {_written(one)}" for one in self.unlike)])


@dataclass(frozen=True)
class Part:
    """One picture of a query: stored under `id`, or a `picture` that has to be encoded.

    `example`: it came as a like or an unlike and is no answer itself; `wanted` is false for an unlike.
    """

    name: str
    id: bytes | None = None
    picture: Picture | None = None
    example: bool = False
    wanted: bool = True

    def own(self) -> bytes | None:
        """Return the id that the picture has, or would have, in a store; none for a picture in memory."""
        return id_of(self.picture) if isinstance(self.picture, str | PathLike) else self.id


def resolved(store: Store, query: Query) -> list[Part]:
    """Return the pictures of a query, each as stored or not; raise `NoSuchImage`, `AmbiguousName`."""
    return [
        *(Part(shown(image), picture=image) for image in query.images),
        *(Part(name, resolve(store, name)) for name in query.names),
        *(_example(store, one, wanted=True) for one in query.like),
        *(_example(store, one, wanted=False) for one in query.unlike),
    ]


def _example(store: Store, given: Picture, *, wanted: bool) -> Part:
    """Return what a like or unlike names: a stored image, or a picture file."""
    if not isinstance(given, str | PathLike):
        return Part(shown(given), picture=given, example=True, wanted=wanted)
    name = str(given)
    try:
        stored = resolve(store, name)
    except NoSuchImage as missing:
        if not Path(name).is_file():
            raise NoSuchImage(f"{missing.message}, nor is it a picture file", missing.remedy) from None
        return Part(shown(given), picture=given, example=True, wanted=wanted)
    if Path(name).is_file() and id_of(name) != stored:
        raise AmbiguousName(
            f"{name!r} names the file {Path(name).absolute()} and another image that is stored, id:{stored.hex()[:16]}",
            f"say which: ./{name} or id:{stored.hex()[:16]}",
        )
    return Part(name, stored, example=True, wanted=wanted)


def query_vector(
    store: Store, query: Query, parts: Sequence[Part], space: Space, vectors: VectorCache
) -> NDArray[np.float32]:
    """Return the query as one unit row (1, dim): the mean of its parts, each at unit length.

    With unlikes it is mean + (mean − mean of the unlikes): Rocchio's formula (in Salton, The SMART Retrieval System,
    1971) with all weights 1, where what is liked is also the first query.
    """
    rows = _part_vectors(store, parts, space, vectors)
    wanted = [row for part, row in zip(parts, rows, strict=True) if part.wanted]
    wanted += [unit(read_vector(one, space), space.name) for one in query.vectors]
    if not wanted:
        alone = "; --unlike says only what is not" if query.unlike else ""
        raise BadInput(f"nothing to search for{alone}", "give --image FILE, --id NAME or --vector FILE.npy")
    avoided = [row for part, row in zip(parts, rows, strict=True) if not part.wanted]
    if not avoided and sum(map(len, wanted)) == 1:
        return wanted[0]
    mean = np.concatenate(wanted).astype(np.float64).mean(axis=0, keepdims=True)
    if avoided:
        mean = mean + (mean - np.concatenate(avoided).astype(np.float64).mean(axis=0, keepdims=True))
    point = mean.astype(np.float32)
    if not point.any():
        raise BadInput("the parts of the query point in opposite directions: their mean is zero", "leave one out")
    return unit(point, space.name)


def _part_vectors(store: Store, parts: Sequence[Part], space: Space, vectors: VectorCache) -> list[NDArray[np.float32]]:
    """Return a unit row (1, dim) for each part; all pictures are encoded in one go."""
    pictures = [part.picture for part in parts if part.picture is not None]
    encoded = np.empty((0, space.dim), np.float32)
    if pictures:
        # Only a new picture needs an encoder; a search by name starts without.
        from engine.retrieval.encode import encoder_of

        encoded = encoder_of(store, space).encode(pictures)
    rows = iter(encoded)
    return [(next(rows) if part.id is None else _stored(part, space, vectors))[None] for part in parts]


def _stored(part: Part, space: Space, vectors: VectorCache) -> NDArray[np.float32]:
    place = vectors.positions(np.frombuffer(part.id or b"", np.uint8)[None])[0]
    if place < 0:
        raise EmptySpace(f"{part.name!r} has no vector in space {space.name!r}", space.remedy)
    return np.array(vectors.matrix[place])


def id_of(path: str | PathLike[str]) -> bytes:
    """Return the id that a picture file has, or would have, in a store."""
    return hashlib.sha256(Path(path).read_bytes()).digest()


def shown(picture: Picture) -> str:
    """Return what a picture goes by: its file's name, or its size."""
    if isinstance(picture, str | PathLike):
        return Path(picture).name
    if isinstance(picture, np.ndarray):
        return f"array {picture.shape}"
    return f"picture {picture.width} × {picture.height}"


def _written(given: Any) -> str:
    """Return what the user wrote, or what stands for an array or a picture."""
    return str(given) if isinstance(given, str | PathLike) else shown(given)


def read_vector(given: str | PathLike[str] | NDArray[Any], space: Space) -> NDArray[np.float32]:
    """Return vectors, an array or a .npy file, (dim,) or (n, dim), as float32 (n, dim)."""
    loaded = given if isinstance(given, np.ndarray) else open_array(given, space)
    name = _written(given)
    rows = checked_shape(loaded, name, space).astype(np.float32)
    if not (np.isfinite(rows).all() and rows.any(axis=1).all()):
        raise BadInput(f"{name} holds a vector that is zero or not finite", _remedy(space))
    return rows


def open_array(path: str | PathLike[str], space: Space, *, mapped: bool = False) -> NDArray[Any]:
    """Return the array in a .npy file, as a memory map if `mapped`."""
    if not Path(path).is_file():
        raise BadInput(f"{path} is not a file", "np.save(PATH, vector)")
    try:
        loaded = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not a .npy file of numbers: {error}", "np.save(PATH, vector)") from None
    if not isinstance(loaded, np.ndarray):
        raise BadInput(f"{path} is an archive of arrays", _remedy(space))
    return loaded


def checked_shape(loaded: NDArray[Any], name: str, space: Space) -> NDArray[Any]:
    """Return numbers as rows (n, dim) of the space's dimension, n at least 1; raise `BadInput` for others."""
    rows = np.atleast_2d(loaded)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != space.dim or rows.dtype.kind not in "fiu":
        raise BadInput(
            f"{name} holds {loaded.dtype} {loaded.shape}; space {space.name!r} has {space.dim} dimensions",
            _remedy(space),
        )
    return rows


def _remedy(space: Space) -> str:
    return f"save a float32 array of shape ({space.dim},)"
