"""The tables of a store. Every one has an unenforced primary key and is only ever merged into, never appended to.

Ids are variable-length `binary` although a SHA-256 always has 32 bytes: Lance 14 compares the keys of concurrent merges
for strings, integers and variable binaries, and lets two writers insert the same fixed-size binary key twice in silence
(measured; tests/engine/test_store.py holds the race).
"""

from __future__ import annotations

import pyarrow as pa

ID_BYTES = 32
KEY = {"lance-schema:unenforced-primary-key": "true"}


def key(name: str, kind: pa.DataType) -> pa.Field:
    """Return a column that is part of the primary key."""
    return pa.field(name, kind, nullable=False, metadata=KEY)


IMAGES = pa.schema(
    [
        key("id", pa.binary()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("format", pa.string()),
        pa.field("bytes", pa.int64()),
    ]
)

# The ledger: exactly one row for each member of each source, whatever became of it.
MEMBERS = pa.schema(
    [
        key("source", pa.binary()),
        key("ordinal", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("split", pa.string()),
        pa.field("offset", pa.int64()),
        pa.field("size", pa.int64()),
        pa.field("image", pa.binary()),
        pa.field("rejected", pa.string()),
        pa.field("removed", pa.string()),
        pa.field("sidecar", pa.string()),
        pa.field("run", pa.string()),
    ]
)

SOURCES = pa.schema(
    [
        key("digest", pa.binary()),
        pa.field("path", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("stamp", pa.string()),
        pa.field("complete", pa.bool_()),
        pa.field("members", pa.int64()),
        pa.field("cut", pa.string()),
        pa.field("run", pa.string()),
    ]
)

# `fingerprint` is the pointer: the table that answers for the space is `space_NAME_FINGERPRINT`.
SPACES = pa.schema(
    [
        key("name", pa.string()),
        pa.field("fingerprint", pa.string()),
        pa.field("dim", pa.int32()),
        pa.field("encoder", pa.string()),
        pa.field("recipe", pa.string()),
        pa.field("run", pa.string()),
    ]
)

# Pictures are compressed already.
PLAIN = {"lance-encoding:compression": "none"}
THUMBNAILS = pa.schema([key("id", pa.binary()), pa.field("thumbnail", pa.large_binary(), metadata=PLAIN)])

LABELS = pa.schema(
    [
        key("key", pa.binary()),
        pa.field("id", pa.binary()),
        pa.field("label", pa.string()),
        pa.field("polarity", pa.bool_()),
        pa.field("score", pa.float64()),
        pa.field("kind", pa.string()),
        pa.field("source", pa.string()),
        pa.field("run", pa.string()),
    ]
)

# Coordinates of a map; its run says of which space and by which method.
MAPS = pa.schema(
    [
        key("run", pa.string()),
        key("id", pa.binary()),
        pa.field("x", pa.float32()),
        pa.field("y", pa.float32()),
    ]
)

# Two rows a run, `start` and `end`; a run without an end was killed or is still going.
RUNS = pa.schema(
    [
        key("run", pa.string()),
        key("event", pa.string()),
        pa.field("time", pa.float64()),
        pa.field("command", pa.string()),
        pa.field("details", pa.string()),
    ]
)

TABLES = {
    "images": IMAGES,
    "members": MEMBERS,
    "sources": SOURCES,
    "spaces": SPACES,
    "thumbnails": THUMBNAILS,
    "labels": LABELS,
    "maps": MAPS,
    "runs": RUNS,
}


def space_schema(dim: int) -> pa.Schema:
    """Return the schema of one space: id and a unit vector of `dim` float32."""
    return pa.schema([key("id", pa.binary()), pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)])


def primary_key(schema: pa.Schema) -> list[str]:
    """Return the columns that tell rows apart."""
    return [field.name for field in schema if b"lance-schema:unenforced-primary-key" in (field.metadata or {})]
