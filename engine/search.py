"""Search: query → unit vector → exact index over the space's matrix → hits, each with where it came from."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, EmptySpace
from engine.fused import matrix_of
from engine.select import labels_of, matching
from engine.store import ID_BYTES, Space, Store, VectorCache
from engine.store.names import resolve
from engine.store.table import in_list
from engine.store.vectors import unit
from indexers.exact import ExactIndex


@dataclass(frozen=True)
class Query:
    """What is looked for: pictures on disk, stored images, vectors. Several are averaged at unit length."""

    images: Sequence[str | PathLike[str]] = ()
    names: Sequence[str] = ()
    vectors: Sequence[str | PathLike[str]] = ()

    def __str__(self) -> str:
        return ", ".join([*(Path(path).name for path in self.images), *self.names, *map(str, self.vectors)])


@dataclass(frozen=True)
class Hit:
    """One image of an answer; `score` is the cosine, computed in float64."""

    id: bytes
    name: str
    ordinal: int
    score: float
    label: str | None = None


@dataclass(frozen=True)
class Answer:
    """Hits, best first, with what they came from. `complete`: no row that qualifies is missing."""

    query: str
    space: str
    fingerprint: str
    hits: list[Hit]
    complete: bool
    rows: int
    index: dict[str, Any] = field(default_factory=lambda: {"kind": "exact", "recall": 1.0})
    store_version: dict[str, int] = field(default_factory=dict)


def search(
    store: Store,
    query: Query,
    *,
    space: str | None = None,
    k: int | None = None,
    threshold: float | None = None,
    where: str | None = None,
    exclude_self: bool = False,
) -> Answer:
    """Return the `k` closest images (10 if neither `k` nor `threshold` is given), or all with `score >= threshold`.

    `where` is applied before the search. `exclude_self` leaves out the stored images that the query is made of, picture
    files that are stored included.
    Raises `BadInput`, `EmptySpace`, `NoSuchImage`, `AmbiguousName`.
    """
    k = 10 if k is None and threshold is None else k
    if k is not None and k < 1:
        raise BadInput(f"k is {k}", "ask for at least one: -k 10")
    if threshold is not None and not -1 <= threshold <= 1:
        raise BadInput(f"the threshold is {threshold}", "a cosine lies between -1 and 1")
    chosen = store.space(space)
    vectors = matrix_of(store, chosen)
    if len(vectors) == 0:
        raise EmptySpace(f"no vectors in space {chosen.name!r}", chosen.remedy)
    named = {name: resolve(store, name) for name in query.names}
    point = _query_vector(store, query, named, chosen, vectors)
    own = [*named.values(), *map(_id_of, query.images)] if exclude_self else []
    keep = _mask(store, vectors, where, own)
    hits, complete = _committed(store, vectors, point, k, threshold, keep)
    versions = store.versions([store.members, *(store.vectors_table(part) for part in _parts(store, chosen))])
    return Answer(str(query), chosen.name, chosen.fingerprint, hits, complete, len(vectors), store_version=versions)


def _committed(
    store: Store,
    vectors: VectorCache,
    point: NDArray[np.float32],
    k: int | None,
    threshold: float | None,
    keep: NDArray[np.bool_] | None,
) -> tuple[list[Hit], bool]:
    """Return the hits, and whether all that qualify are among them.

    During an ingest vectors are there before their ledger row; such an image is not part of the collection yet, so it
    is masked and the search done again.
    """
    index = ExactIndex(vectors.matrix)
    while True:
        if threshold is None:
            found = index.search(point, k or 10, keep=keep)[0]
        else:
            found = index.range_search(point, threshold, keep=keep)[0]
        positions, scores = found.positions[:k], found.scores[:k]
        hits = describe(store, [vectors.ids[place].tobytes() for place in positions], scores)
        if len(hits) == len(positions):
            return hits, threshold is None or len(positions) == len(found)
        named = {hit.id for hit in hits}
        keep = np.ones(len(vectors), bool) if keep is None else keep
        keep[[place for place in positions if vectors.ids[place].tobytes() not in named]] = False


def _parts(store: Store, space: Space) -> list[Space]:
    if not space.virtual:
        return [space]
    spaces = store.spaces()
    return [spaces[name] for name in space.recipe["weights"]]


def describe(store: Store, ids: Sequence[bytes], scores: NDArray[np.float64]) -> list[Hit]:
    """Return ids with the name of their first member and the label that counts."""
    rows = store.members.rows(
        ["source", "ordinal", "name", "image"], f"removed IS NULL AND {in_list('image', list(ids))}"
    )
    names = {row["image"]: row for row in sorted(rows, key=lambda row: (row["source"], row["ordinal"]), reverse=True)}
    labels = labels_of(store, list(ids))
    # An image whose ledger row is not committed yet has vectors already; it is not part of the answer.
    return [
        Hit(one, names[one]["name"], names[one]["ordinal"], float(score), labels.get(one))
        for one, score in zip(ids, scores, strict=True)
        if one in names
    ]


def _query_vector(
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


def _id_of(path: str | PathLike[str]) -> bytes:
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


def _mask(
    store: Store, vectors: VectorCache, where: str | None, leave_out: Sequence[bytes]
) -> NDArray[np.bool_] | None:
    if where is None and not leave_out:
        return None
    keep = np.full(len(vectors), where is None)
    if where is not None:
        _set(keep, vectors, matching(store, where), True)
    _set(keep, vectors, np.frombuffer(b"".join(leave_out), np.uint8).reshape(-1, ID_BYTES), False)
    return keep


def _set(keep: NDArray[np.bool_], vectors: VectorCache, ids: NDArray[np.uint8], value: bool) -> None:
    positions = vectors.positions(ids)
    keep[positions[positions >= 0]] = value
