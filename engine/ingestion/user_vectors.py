"""`--vectors NAME=FILE`: a space of vectors that another program made, checked against the members before anything is
written, and against a built-in space afterwards: rows that are shifted by one look right and are worthless."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from engine.encoders.base import names_space
from engine.errors import BadInput
from engine.ingestion.commit import BLOCK_ROWS
from engine.sources.base import Source
from engine.store import ID_BYTES, Space, Store
from engine.store.table import in_list
from engine.store.vectors import unit, vector_rows

NEIGHBOURS = 10
SAMPLE = 500
POOL = 20_000
DIFFERENT = 0.9999


@dataclass(frozen=True)
class UserVectors:
    """`rows[i]` is the row of `matrix` (n, dim) that belongs to the i-th regular member, −1 where it has none."""

    name: str
    matrix: NDArray[np.float32]
    rows: NDArray[np.int64]

    @property
    def space(self) -> Space:
        # The user vouches for the name: a second file for other images may join the same space.
        text = f"user\n{self.name}\n{self.matrix.shape[1]}"
        return Space(self.name, hashlib.sha256(text.encode()).hexdigest()[:12], self.matrix.shape[1], "user")


def read_vectors(argument: str, sources: Sequence[Source], *, order: str = "member") -> UserVectors:
    """Return the vectors of `NAME=FILE`, matched to the regular members of `sources` in their order.

    A `.npy` file has one row for each member: in `order` "member", "number" (by the last number in the name), or as a
    file that lists the names. A `.npz` or `.parquet` file is keyed by name. Raises `BadInput`, with the member and the
    remedy, for a wrong row count, a row that is zero or not finite, an unknown name, or a missing file.
    """
    name, _, file = argument.partition("=")
    if not file or not names_space(name):
        raise BadInput(
            f"--vectors {argument!r} is not NAME=FILE", "--vectors mine=embeddings.npy (at most 64 of a-z, 0-9, _)"
        )
    path = Path(file)
    if not path.is_file():
        raise BadInput(f"there is no vectors file {path}", "--vectors NAME=FILE.npy, .npz or .parquet")
    members = [label for source in sources for ordinal, label in source.names() if ordinal >= 0]
    if path.suffix == ".npy":
        matrix = _load(path)
        rows = _ordered(path, matrix, members, order)
    else:
        keys, matrix = _keyed(path)
        if len(keys) != len(matrix):
            raise BadInput(f"{path} has {len(keys)} names and {len(matrix)} vectors", "one name for each vector")
        rows = _match(path, keys, members)
    _check(path, matrix, rows, members)
    return UserVectors(name, matrix, rows)


def _load(path: Path) -> NDArray[np.float32]:
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not a .npy file of numbers: {error}", "np.save(PATH, vectors)") from None
    if not isinstance(matrix, np.ndarray):
        raise BadInput(f"{path} is an archive of arrays", "call it .npz, or save one array with np.save")
    return _numbers(path, matrix)


def _numbers(path: Path, matrix: NDArray) -> NDArray[np.float32]:
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or matrix.shape[1] == 0:
        raise BadInput(f"{path} holds {matrix.dtype} {matrix.shape}", "save a float32 array of shape (n, dim)")
    return matrix


def _keyed(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Return (names, matrix) of a .npz (an array for each name, or `names` and `vectors`) or .parquet file."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                if set(file.files) == {"names", "vectors"}:
                    return np.atleast_1d(file["names"]).astype(str).tolist(), _numbers(path, file["vectors"])
                return list(file.files), _numbers(path, np.stack([file[key] for key in file.files]))
        if path.suffix == ".parquet":
            return _parquet(path)
    except (OSError, ValueError, KeyError, EOFError, OverflowError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"{path} cannot be read as vectors by name: {error}", "names and vectors of one length"
        ) from None
    raise BadInput(f"{path} is neither .npy, .npz nor .parquet", "--vectors NAME=FILE.npy")


def _parquet(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    missing = {"name", "vector"} - set(table.column_names)
    if missing:
        raise BadInput(f"{path} has the columns {', '.join(table.column_names)}", "it needs name and vector")
    names = table["name"].cast("string").to_pylist()
    if None in names or table["vector"].null_count:
        raise BadInput(f"{path} has a row without name or vector", "leave that row out")
    return names, _numbers(path, np.stack(table["vector"].to_numpy()))


def _ordered(path: Path, matrix: NDArray[np.float32], members: list[str], order: str) -> NDArray[np.int64]:
    if order not in ("member", "number"):
        listing = Path(order)
        if not listing.is_file():
            raise BadInput(
                f"--vectors-order {order!r} is neither member, number nor a file", "list the names, one a line"
            )
        try:
            # A name may hold what `splitlines` takes for the end of a line, U+2028 for instance.
            names = listing.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        except UnicodeDecodeError as error:
            raise BadInput(f"{listing} is not a text in UTF-8: {error}", "list the names, one a line") from None
        if len(names) != len(matrix):
            raise BadInput(
                f"{path} has {len(matrix)} rows, {listing} lists {len(names)} names", "one name for each row"
            )
        return _match(listing, names, members)
    if len(matrix) != len(members):
        where = (
            f"row {len(members)} has no member"
            if len(matrix) > len(members)
            else f"{members[len(matrix)]!r} has no row"
        )
        raise BadInput(
            f"{path} has {len(matrix)} rows, the source has {len(members)} members: {where}",
            "give one row for each regular file, rejected ones included, or a .parquet keyed by name",
        )
    rows = np.arange(len(members))
    if order == "number":
        numbers = [_number(name) for name in members]
        rows = np.empty(len(members), np.int64)
        rows[np.argsort(numbers, kind="stable")] = np.arange(len(members))
    return rows


def _number(name: str) -> int:
    digits = re.findall(r"\d+", PurePosixPath(name).stem)
    if not digits:
        raise BadInput(f"the member {name!r} has no number", "--vectors-order member, or a file that lists the names")
    return int(digits[-1])


def _match(path: Path, names: Sequence[str], members: list[str]) -> NDArray[np.int64]:
    rows = {name: row for row, name in enumerate(names)}
    if len(rows) != len(names):
        twice = next(name for row, name in enumerate(names) if rows[name] != row)
        raise BadInput(f"{path} has {twice!r} twice", "one row for each name")
    unknown = sorted(set(rows) - set(members))
    if unknown:
        raise BadInput(
            f"{path} has {len(unknown)} names that are no members, for instance {unknown[0]!r}",
            f"member names look like {members[0]!r}" if members else "the source has no members",
        )
    return np.array([rows.get(name, -1) for name in members], np.int64)


def _check(path: Path, matrix: NDArray[np.float32], rows: NDArray[np.int64], members: list[str]) -> None:
    for start in range(0, len(matrix), BLOCK_ROWS):
        # As they will be stored: what is not finite or zero as float32 has no direction there.
        with np.errstate(over="ignore", under="ignore"):
            block = np.asarray(matrix[start : start + BLOCK_ROWS]).astype(np.float32)
        lengths = np.linalg.norm(block.astype(np.float64), axis=1)
        bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
        if len(bad):
            row = start + int(bad[0])
            owner = np.flatnonzero(rows == row)
            member = members[owner[0]] if len(owner) else "no member"
            what = "zero" if lengths[bad[0]] == 0 else "not finite"
            raise BadInput(f"{path} row {row} ({member}) is {what}", "make that vector again, or leave its name out")


@dataclass(frozen=True)
class Brought:
    """What came of it: `rows` written; `differing` members whose image has another vector already (the first wins)."""

    rows: int
    differing: int
    overlap: Overlap | None


@dataclass(frozen=True)
class Overlap:
    """Share of the 10 nearest neighbours that the space has in common with `space`, aligned and shifted by a row."""

    space: str
    aligned: float
    shifted: float
    chance: float

    @property
    def suspicious(self) -> bool:
        """Say whether the rows probably belong to other images: no better than chance, or better when shifted."""
        return self.aligned < 5 * self.chance or self.shifted > self.aligned

    def __str__(self) -> str:
        return (
            f"10-NN overlap with space {self.space!r} is {self.aligned:.3f} "
            f"(chance {self.chance:.4f}, shifted by one row {self.shifted:.3f})"
        )


def bring(store: Store, vectors: UserVectors, digests: Sequence[bytes], run: str) -> Brought:
    """Write the vectors of the stored members of `digests`, the sources that `read_vectors` was given."""
    space = store.declare(vectors.space, run)
    table = store.vectors_table(space)
    table.create()
    written = differing = 0
    for ids, rows in _images(store, vectors, digests):
        first = dict(zip(reversed(ids), reversed(rows.tolist()), strict=True))
        written += table.merge(vector_rows(list(first), unit(vectors.matrix[list(first.values())], space.name)))
    stored = store.vectors(space)
    for ids, rows in _images(store, vectors, digests):
        places = stored.positions(np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES))
        cosines = np.einsum("ij,ij->i", stored.matrix[places], unit(vectors.matrix[rows], space.name))
        differing += int(np.count_nonzero(cosines < DIFFERENT))
    return Brought(written, differing, overlap(store, space, vectors, digests))


def _images(
    store: Store, vectors: UserVectors, digests: Sequence[bytes]
) -> Iterator[tuple[list[bytes], NDArray[np.int64]]]:
    """Yield (ids, rows) of stored members that have a row, in the order of sources and members."""
    offset = 0
    for digest in digests:
        where = f"ordinal >= 0 AND {in_list('source', [digest])}"
        members = store.members.read(["ordinal", "image", "removed"], where).sort_by("ordinal")
        count = len(members)
        for start in range(0, count, BLOCK_ROWS):
            part = members.slice(start, BLOCK_ROWS).to_pylist()
            alive = [row for row in part if row["image"] and not row["removed"]]
            rows = vectors.rows[np.array([offset + row["ordinal"] for row in alive], np.int64)]
            if (rows >= 0).any():
                yield [row["image"] for row, place in zip(alive, rows, strict=True) if place >= 0], rows[rows >= 0]
        offset += count


def overlap(store: Store, space: Space, vectors: UserVectors, digests: Sequence[bytes]) -> Overlap | None:
    """Compare the neighbours of a sample with those in the default built-in space; None where there is none.

    Aligned vectors of two image encoders share far more than chance; a shifted file shares no more than chance.
    """
    name = next(
        (one for one in (store.default_space(),) if one and store.space(one).encoder not in ("user", "fused")), None
    )
    if name is None:
        return None
    other, mine = store.vectors(store.space(name)), store.vectors(space)
    ids = [image for images, _ in _images(store, vectors, digests) for image in images]
    ids = list(dict.fromkeys(ids))[:POOL]
    keys = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES)
    here, there = mine.positions(keys), other.positions(keys)
    both = (here >= 0) & (there >= 0)
    if both.sum() <= 2 * NEIGHBOURS:
        return None
    A, B = mine.matrix[here[both]], other.matrix[there[both]]
    n = len(A)
    queries = np.random.default_rng(0).permutation(n)[: min(SAMPLE, n)]
    theirs = _neighbours(B, queries)
    aligned = _shared(_neighbours(A, queries), theirs)
    shifted = max(_shared(_neighbours(np.roll(A, shift, axis=0), queries), theirs) for shift in (1, -1))
    return Overlap(name, aligned, shifted, NEIGHBOURS / (n - 1))


def _neighbours(X: NDArray[np.float32], queries: NDArray[np.int64]) -> NDArray[np.int64]:
    scores = X[queries] @ X.T
    scores[np.arange(len(queries)), queries] = -np.inf
    return np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def _shared(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    common = [len(np.intersect1d(one, other)) for one, other in zip(a, b, strict=True)]
    return float(np.mean(common)) / NEIGHBOURS
