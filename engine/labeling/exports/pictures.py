"""The bytes of exported images, read where their sources are, under names that can do no harm."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import SourceError
from engine.ingestion.embed import pixels_of, places
from engine.sources.base import Member
from engine.sources.names import IMAGE_EXTENSIONS, suffix
from engine.store import Store
from engine.store.vectors import id_array, sort_key

EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "IDX": "png"}
# What a file system, a shell or a reader of archives may take for something else than a letter.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f<>:\"|?*\\/\u2028\u2029]")
# Bytes of a stem; a file name may have 255 with an id and an extension.
LONGEST = 160


def pictures(store: Store, rows: pa.Table) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield each row with the bytes of its image, in the order of the sources; bare pixels become a PNG.

    Raises `SourceError` if a source is gone, and at the end if an image is no longer in it.
    """
    ids = sort_key(id_array(rows["id"]))
    order = np.argsort(ids, kind="stable")
    found = np.zeros(len(ids), bool)
    ids = ids[order]
    for _, member in pixels_of(store, places(store, lambda images: np.isin(images, ids))):
        if member.data is None:
            continue
        image = np.array([hashlib.sha256(member.data).digest()], ids.dtype)
        place = int(np.searchsorted(ids, image)[0])
        if place < len(ids) and (ids[place : place + 1] == image)[0] and not found[place]:
            found[place] = True
            yield rows.slice(order[place], 1).to_pylist()[0], _file(member)
    if not found.all():
        gone = rows["name"][int(order[np.argmin(found)])].as_py()
        raise SourceError(
            f"{int((~found).sum())} of {len(ids)} images are no longer what they were, for instance {gone}",
            "see which: engine verify --bytes",
        )


def _file(member: Member) -> bytes:
    """Return the bytes of a picture file."""
    data = member.data or b""
    if member.shape is None:
        return data
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.frombuffer(data, np.uint8).reshape(member.shape)).save(buffer, "PNG")
    return buffer.getvalue()


def extension(row: dict[str, Any]) -> str:
    """Return how the name of a picture file ends: as its member's does, else as its format says."""
    ending = suffix(row["name"])
    return ending if ending in IMAGE_EXTENSIONS and row["format"] != "IDX" else extension_of(row["format"])


def extension_of(form: str) -> str:
    """Return how the names of files of a format end."""
    return EXTENSIONS.get(form, form.lower())


def free_path(folder: Path, row: dict[str, Any]) -> Path:
    """Return a free path in `folder`: the member's name made harmless, with the id where that is taken."""
    base = row["name"].replace("\\", "/").rpartition("/")[2]
    stem = harmless(PurePosixPath(base).stem).encode()[:LONGEST].decode(errors="ignore") or "image"
    path = folder / f"{stem}.{extension(row)}"
    return folder / f"{stem}-{row['id'].hex()}.{extension(row)}" if path.exists() else path


def harmless(name: str) -> str:
    """Return a name that is one part of a path wherever it is unpacked."""
    return UNSAFE.sub("_", name).strip(". ")
