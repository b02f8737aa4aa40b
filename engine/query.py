"""Query: pictures on disk, names of stored images, vectors → one unit vector of a space."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.store import Space, Store, VectorCache
from engine.store.vectors import unit


@dataclass(frozen=True)
class Query:
    """What is looked for: pictures on disk, stored images, vectors. Several are averaged at unit length."""

    images: Sequence[str | PathLike[str]] = ()
    names: Sequence[str] = ()
    vectors: Sequence[str | PathLike[str]] = ()

    def __str__(self) -> str:
        return ", ".join([*(Path(path).name for path in self.images), *self.names, *map(str, self.vectors)])


def query_vector(
    store: Store, query: Query, named: dict[str, bytes], space: Space, vectors: VectorCache
) -> NDArray[np.float32]:
    """Return the query as one unit row (1, dim): the mean of its parts, each at unit length."""
    parts: list[NDArray[np.float32]] = []
    if query.images:
        parts.append(unit(encode_files(store, query.images, space), space.name))
    for name, image in named.items():
        place = vectors.positions(np.frombuffer(image, np.uint8)[None])[0]
        if place < 0:
            raise EmptySpace(f"{name!r} has no vector in space {space.name!r}", space.remedy)
        parts.append(np.array(vectors.matrix[place])[None])
    for path in query.vectors:
        parts.append(unit(read_vector(path, space), space.name))
    if not parts:
        raise BadInput("nothing to search for", "give --image FILE, --id NAME or --vector FILE.npy")
    mean = np.concatenate(parts).astype(np.float64).mean(axis=0, keepdims=True).astype(np.float32)
    if not mean.any():
        raise BadInput("the parts of the query point in opposite directions: their mean is zero", "leave one out")
    return unit(mean, space.name)


def id_of(path: str | PathLike[str]) -> bytes:
    """Return the id that a picture file has, or would have, in a store."""
    return hashlib.sha256(Path(path).read_bytes()).digest()


def encode_files(store: Store, paths: Sequence[str | PathLike[str]], space: Space) -> NDArray[np.float32]:
    """Return the vectors (n, dim) of pictures on disk, made by the encoder that made the space."""
    # Only a new picture needs an encoder; a search by name starts without.
    from engine import decode, encoders
    from engine.encoders.base import decoding_side, prepared

    if space.encoder == "fused":
        from engine.fused import encode_fused

        return encode_fused(store, paths, space, encode_files)
    if space.encoder == "user":
        raise BadInput(
            f"space {space.name!r} holds vectors that were brought with --vectors: no encoder makes them of a picture",
            "search it with --id or --vector",
        )
    encoder = encoders.load(
        space.encoder,
        space=space.name,
        cache=store.cache,
        fingerprint=space.fingerprint,
        # Every machine can run fp32; a space made at another precision is met at this machine's best.
        precision="fp32" if store.precision(space) == "fp32" else "auto",
        **space.recipe,
    )
    side = decoding_side([encoder.geometry])
    pictures = []
    for path in paths:
        if not Path(path).is_file():
            raise BadInput(f"{path} is not a file", "name an image file")
        try:
            pictures.append(decode.decode(Path(path).read_bytes(), draft_side=side).image)
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}", "name an image file") from None
        except decode.Rejected as reason:
            raise BadInput(f"{path}: {reason}", "name an image file") from None
    return encoder.encode([prepared(encoder.geometry, picture) for picture in pictures])


def read_vector(path: str | PathLike[str], space: Space) -> NDArray[np.float32]:
    """Return the vectors of a .npy file, (dim,) or (n, dim), as float32 (n, dim)."""
    if not Path(path).is_file():
        raise BadInput(f"{path} is not a file", "np.save(PATH, vector)")
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not a .npy file of numbers: {error}", "np.save(PATH, vector)") from None
    remedy = f"save a float32 array of shape ({space.dim},)"
    if not isinstance(loaded, np.ndarray):
        raise BadInput(f"{path} is an archive of arrays", remedy)
    rows = np.atleast_2d(loaded)
    if rows.ndim != 2 or len(rows) == 0 or rows.shape[1] != space.dim or rows.dtype.kind not in "fiu":
        raise BadInput(
            f"{path} holds {loaded.dtype} {loaded.shape}; space {space.name!r} has {space.dim} dimensions", remedy
        )
    rows = rows.astype(np.float32)
    if not (np.isfinite(rows).all() and rows.any(axis=1).all()):
        raise BadInput(f"{path} holds a vector that is zero or not finite", remedy)
    return rows
