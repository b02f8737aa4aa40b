"""A space as one contiguous, memory-mapped matrix with its id file: a cache that can be deleted at any time.

A column of a Lance table comes in many chunks; a search wants one matrix, and at once. The files grow as rows are
appended to the table and are written anew when rows have moved or gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.store.durable import (
    disk_full,
    empty,
    folders,
    fsync,
    is_full,
    is_unwritable,
    locked,
    own_folder,
    publish,
    require_space,
)
from engine.store.schemas import ID_BYTES
from engine.store.seals import STATE, all_renewed, seal
from engine.store.table import BATCH_ROWS, Table, steady

if TYPE_CHECKING:
    import lance
    import pyarrow as pa

# The lock stays when all else goes: another process may be waiting for it.
LOCK = ".lock"
KINDS = ("ids", "f32")
# Sorts and compares 32 bytes as memcmp does. Never take single elements of it: NumPy strips trailing zeros.
ID_KEY = f"S{ID_BYTES}"


def sort_key(ids: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Return ids (n, 32) as an array (n,) that sorts and searches by their bytes."""
    return np.ascontiguousarray(ids).view(ID_KEY).ravel()


def id_array(column: pa.ChunkedArray | pa.Array) -> NDArray[np.uint8]:
    """Return a column of ids as uint8 (n, 32) without making a Python object of each."""
    import pyarrow as pa

    fixed = column.cast(pa.binary(ID_BYTES))
    chunks = fixed.chunks if isinstance(fixed, pa.ChunkedArray) else [fixed]
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8, len(chunk) * ID_BYTES, chunk.offset * ID_BYTES) for chunk in chunks
    ]
    return np.concatenate([*parts, np.empty(0, np.uint8)]).reshape(-1, ID_BYTES)


def matrix(column: pa.Array, dim: int) -> NDArray[np.float32]:
    """Return a batch's vectors as float32 (n, dim)."""
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)


def unit(vectors: NDArray[np.float32], space: str) -> NDArray[np.float32]:
    """Return the rows at unit length; raise `BadInput` if one has no direction.

    Every vector of a store passes here, and every query.
    """
    rows = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(bad):
        raise BadInput(
            f"space {space!r}: {len(bad)} of {len(rows)} vectors are zero or not finite (first: row {bad[0]})"
        )
    return (rows / norms).astype(np.float32)


def vector_rows(ids: Sequence[bytes], vectors: NDArray[np.float32]) -> pa.Table:
    """Return ids and vectors (n, dim) as rows of a space table."""
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).ravel()), vectors.shape[1])
    return pa.table({"id": pa.array(ids, pa.binary()), "vector": column})


@dataclass(frozen=True)
class VectorCache:
    """`ids` is uint8 (n, 32), `matrix` float32 (n, dim) with unit rows, `version` that of the table they came from.

    Under one `name` rows are only ever appended: what was at a position stays there. `identity` tells the rows
    themselves: what was computed from them by position holds as long as it is the same. A `temporary` one could not be
    kept and goes with this process.
    """

    ids: NDArray[np.uint8]
    matrix: NDArray[np.float32]
    version: int
    name: str = ""
    identity: str = ""
    temporary: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.bytes_]]:
        keys = sort_key(self.ids)
        order = np.argsort(keys, kind="stable")
        return order, keys[order]

    def positions(self, ids: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return where each of `ids` (m, 32) lies, −1 for those without a vector."""
        if len(self) == 0 or len(ids) == 0:
            return np.full(len(ids), -1, np.int64)
        if len(ids) < 16:
            return np.array([self._position(one) for one in np.ascontiguousarray(ids)], np.int64)
        order, keys = self._order
        wanted = sort_key(ids)
        found = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[found] == wanted, order[found], -1)

    @cached_property
    def _first_words(self) -> NDArray[np.uint64]:
        return np.ascontiguousarray(self.ids.view(np.uint64)[:, 0])

    def _position(self, image: NDArray[np.uint8]) -> int:
        # A pass over the first eight bytes of each id is cheaper than sorting them all.
        likely = np.flatnonzero(self._first_words == image.view(np.uint64)[0])
        return next((int(place) for place in likely if (self.ids[place] == image).all()), -1)

    @classmethod
    def load(cls, table: Table, folder: Path) -> VectorCache:
        """Return the newest committed state of `table`, extending or rebuilding the files in `folder` as needed."""
        dim = table.schema.field("vector").type.list_size
        if table.dataset() is None:
            return cls(np.empty((0, ID_BYTES), np.uint8), np.empty((0, dim), np.float32), 0)
        try:
            own_folder(folder.parent.parent, folder.parent.name, folder.name)
            return steady(lambda: cls._load(table, folder, dim))
        except OSError as error:
            if not is_unwritable(error):
                raise
        from tempfile import TemporaryDirectory

        # Files that are mapped stay until we end, though they are gone from their folder.
        with TemporaryDirectory(prefix="engine-") as scratch:
            return replace(steady(lambda: cls._load(table, Path(scratch), dim)), temporary=True)

    @classmethod
    def _load(cls, table: Table, folder: Path, dim: int) -> VectorCache:
        with locked(folder / LOCK):
            # Opened under the lock, or another process could have taken the files to a later version.
            dataset = table.dataset()
            assert dataset is not None
            state = _read_state(folder, dim)
            if not state["name"] or state["fragments"] != _fragments(dataset):
                state = _refresh(dataset, folder, state, dim)
            rows = state["rows"]
            ids = _map(folder / f"{state['name']}.ids", np.uint8, (rows, ID_BYTES))
            vectors = _map(folder / f"{state['name']}.f32", np.float32, (rows, dim))
            return cls(ids, vectors, dataset.version, state["name"], _digest(state["fragments"]))


def _map(path: Path, kind: Any, shape: tuple[int, int]) -> NDArray[Any]:
    # An empty file cannot be mapped.
    return np.memmap(path, kind, "r", shape=shape) if shape[0] else np.empty(shape, kind)


def drop(root: Path) -> None:
    """Remove what every space under `root` has cached; readers that hold it mapped keep it until they end."""
    for folder in folders(root):
        with locked(folder / LOCK):
            empty(folder, keep=(LOCK,))


def _read_state(folder: Path, dim: int) -> dict[str, Any]:
    """Return what the files in `folder` hold; an empty state if they are absent or not as they were written."""
    absent = {"version": 0, "fragments": {}, "rows": 0, "name": "", "seals": {}}
    try:
        state = json.loads((folder / STATE).read_text())
        ids, vectors = (state["seals"][f"{state['name']}.{kind}"]["size"] for kind in KINDS)
        seals = all_renewed(folder, state["seals"])
        whole = (ids, vectors) == (state["rows"] * ID_BYTES, state["rows"] * dim * 4) and state.keys() == absent.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return absent
    if seals is None or not whole:
        return absent
    if seals != state["seals"]:
        state["seals"] = seals
        # Where it cannot be written, the files are read through again next time.
        with suppress(OSError):
            publish(folder / STATE, state)
    return state


def _fragments(dataset: lance.LanceDataset) -> dict[str, list[int | str]]:
    """Return what tells the rows of a table: versions and counts alone are the same again in a restored backup."""
    return {
        str(part.fragment_id): [part.physical_rows, part.num_deletions, *(file.path for file in part.data_files())]
        for part in dataset.get_fragments()
    }


def identity(table: Table) -> str:
    """Return the `identity` that the vectors of `table` have now, without reading them."""
    return table.derived("identity", lambda dataset: _digest(_fragments(dataset))) or ""


def _digest(fragments: dict[str, list[int | str]]) -> str:
    # The files hold the rows in the order of the fragments, however often they were extended.
    return hashlib.sha256(json.dumps(fragments).encode()).hexdigest()[:16]


def _refresh(dataset: lance.LanceDataset, folder: Path, state: dict[str, Any], dim: int) -> dict[str, Any]:
    fragments = _fragments(dataset)
    known = state["fragments"]
    if not state["name"] or any(fragments.get(name) != counts for name, counts in known.items()):
        # Rows moved (compaction) or went (removal): what was cached is void.
        state, known = {"rows": 0, "name": secrets.token_hex(4), "seals": {}}, {}
    new = [part for part in dataset.get_fragments() if str(part.fragment_id) not in known]
    added = sum(part.count_rows() for part in new)
    require_space(folder, added * (ID_BYTES + dim * 4))
    batches = (
        dataset.scanner(columns=["id", "vector"], fragments=new, batch_size=BATCH_ROWS).to_batches() if new else ()
    )
    try:
        sums = _write(folder, state, batches, dim)
    except OSError as error:
        if is_full(error):
            empty(folder, keep=(LOCK,))
            raise disk_full(folder) from error
        raise
    rows = state["rows"] + added
    files = {f"{state['name']}.{kind}": rows * width for kind, width in zip(KINDS, (ID_BYTES, dim * 4), strict=True)}
    # Or a power loss could leave a state that vouches for zeros.
    for name in files:
        fsync(folder / name)
    seals = {
        name: seal(folder / name, size=size, checksum=checksum)
        for (name, size), checksum in zip(files.items(), sums, strict=True)
    }
    done = {"version": dataset.version, "fragments": fragments, "rows": rows, "name": state["name"], "seals": seals}
    publish(folder / STATE, done)
    empty(folder, keep=(LOCK, STATE, *files))
    return done


def _write(folder: Path, state: dict[str, Any], batches: Iterable[pa.RecordBatch], dim: int) -> list[int]:
    """Append `batches` behind the rows that `state` counts, over whatever a killed process left there.

    Returns the checksum of each file.
    """
    names = [f"{state['name']}.{kind}" for kind in KINDS]
    sums = [state["seals"][name]["checksum"] if name in state["seals"] else 0 for name in names]
    with (
        open(os.open(folder / names[0], os.O_RDWR | os.O_CREAT), "r+b") as ids,
        open(os.open(folder / names[1], os.O_RDWR | os.O_CREAT), "r+b") as vectors,
    ):
        ids.seek(state["rows"] * ID_BYTES)
        vectors.seek(state["rows"] * dim * 4)
        for batch in batches:
            rows = np.ascontiguousarray(matrix(batch["vector"], dim))
            for place, (file, part) in enumerate(((ids, id_array(batch["id"]).data), (vectors, rows.data))):
                file.write(part)
                sums[place] = zlib.crc32(part, sums[place])
    return sums
