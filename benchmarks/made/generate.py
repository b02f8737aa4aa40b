"""A store of made images: metadata, thumbnails of a few bytes and vectors, as an ingest would leave them; no pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.made.clustered import BLOCK_ROWS, Clustered
from engine.compact import compact_if_piled_up
from engine.store import Space, Store
from engine.store.schemas import MEMBERS, SOURCES
from engine.store.vectors import unit, vector_rows

SPACE = "made"
# So many blocks between two looks at whether the tables should be compacted.
COMPACT_EVERY = 64


def generate(path: Path, *, rows: int, dim: int, seed: int = 0) -> Store:
    """Make a store of `rows` images of one source, member `@i` being `made/i.none`, with vectors of `Clustered`.

    Every promise that `engine verify` checks holds for it.
    """
    store = Store.create(path)
    source = hashlib.blake2b(f"made {seed}".encode(), digest_size=16).digest()
    with store.run("ingest", {"rows": rows, "dim": dim, "seed": seed, "spaces": [SPACE]}) as run:
        space = store.declare(Space(SPACE, "0" * 12, dim, "user"), run.name)
        for block, vectors in enumerate(Clustered(rows, dim, seed).blocks()):
            start = block * BLOCK_ROWS
            ids = _ids(seed, start, len(vectors))
            store.vectors_table(space).merge(vector_rows(ids, unit(vectors, SPACE)))
            store.thumbnails.merge(_thumbnails(ids))
            store.images.merge(_images(ids))
            store.members.merge(_members(source, ids, start, run.name))
            if block % COMPACT_EVERY == COMPACT_EVERY - 1:
                compact_if_piled_up(store)
        listed = {"digest": source, "path": str(path / "made.tar"), "kind": "tar", "stamp": "made", "complete": True}
        store.sources.merge(pa.Table.from_pylist([{**listed, "members": rows, "run": run.name}], SOURCES))
        # As at the end of an ingest.
        compact_if_piled_up(store)
        run.result.update({"members": rows, "images": rows, "images_per_second": None})
    return store


def _ids(seed: int, start: int, count: int) -> list[bytes]:
    return [hashlib.sha256(f"{seed} {row}".encode()).digest() for row in range(start, start + count)]


def _thumbnails(ids: list[bytes]) -> pa.Table:
    pictures = pa.array([one[:8] for one in ids], pa.large_binary())
    return pa.table({"id": pa.array(ids, pa.binary()), "thumbnail": pictures})


def _images(ids: list[bytes]) -> pa.Table:
    n = len(ids)
    sizes = pa.array(np.full(n, 64, np.int32))
    return pa.table(
        {
            "id": pa.array(ids, pa.binary()),
            "width": sizes,
            "height": sizes,
            "format": pa.array(["NONE"] * n),
            "bytes": pa.array(np.zeros(n, np.int64)),
        }
    )


def _members(source: bytes, ids: list[bytes], start: int, run: str) -> pa.Table:
    n = len(ids)
    columns = {
        "source": pa.array([source] * n, pa.binary()),
        "ordinal": pa.array(np.arange(start, start + n)),
        "name": pa.array([f"made/{row}.none" for row in range(start, start + n)]),
        "offset": pa.array(512 * np.arange(start, start + n)),
        "size": pa.array(np.zeros(n, np.int64)),
        "image": pa.array(ids, pa.binary()),
        "run": pa.array([run] * n),
    }
    absent = pa.nulls(n)
    return pa.table([columns.get(field.name, absent).cast(field.type) for field in MEMBERS], schema=MEMBERS)
