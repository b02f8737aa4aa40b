"""A map as one HTML file, from coordinates, names and thumbnails in the store: no source need be there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from engine.drawing.coloured_map import Drawing
from engine.drawing.thumbnails import Thumbnails
from engine.errors import BadInput
from engine.pictures.map_page import Points, write_page
from engine.pictures.sprites import chunks, fitting, sheet
from engine.progress import Progress, Silent
from engine.scratch import whole
from engine.store import Store
from engine.store.durable import disk_full, is_full
from engine.store.vectors import id_array, sort_key

# Bytes of all sheets: with a third more for base64, and names and points, 60,000 images stay below 30 MB.
BUDGET = 19 * 10**6
SAMPLE = 512
# Digits of an id that tell images of one name apart.
HEX = 16
CELLS = 1 << 15


def write_map(store: Store, drawing: Drawing, path: Path, *, progress: Progress | None = None) -> int:
    """Write a map as one HTML file at `path` and return its bytes; nothing half-written is left.

    Thumbnails are as large as fits. The caller holds the lock. Raises `DiskFull`, or `BadInput` for another reason.
    """
    told = progress or Silent()
    one, groups = drawing.map, drawing.groups()
    # Neighbours on the map lie on one sheet, so that few sheets are read at a time.
    order = _morton(one.xy)
    ids = one.ids[order]
    names = names_of(store, ids)
    thumbnails = Thumbnails(store, ids)
    side, quality = fitting(thumbnails.of(_spread(len(ids))), len(ids), budget=BUDGET)
    told.begin("thumbnails of the map", len(ids))
    sheets = []
    for part in chunks(len(ids)):
        sheets.append(sheet(thumbnails.of(part), side=side, quality=quality))
        told.advance(part.stop - part.start)
    moved = replace(groups, codes=groups.codes[order])
    sizes = [size for one_sheet in sheets for size in one_sheet.sizes]
    points = Points(one.xy[order], names, moved, _doubtful(ids, names), sizes, side)
    try:
        with whole(path) as scratch, scratch.open("w", encoding="utf-8") as file:
            write_page(file, points, sheets, title=drawing.title, note=drawing.note, by=_legend(drawing))
    except OSError as error:
        if is_full(error):
            raise disk_full(path.absolute().parent) from error
        raise BadInput(f"'{path}' cannot be written: {error.strerror}", "name another file") from error
    return path.stat().st_size


def _legend(drawing: Drawing) -> str:
    groups = drawing.groups()
    again = f"; colours repeat after {len(groups.colours)}" if len(groups.names) > len(groups.colours) else ""
    return f"{drawing.by or 'images'}{again}"


def _morton(xy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return an order in which points that lie together come together: by the bits of their cells, interleaved."""
    low, extent = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-12)
    cells = np.minimum((xy - low) / extent * CELLS, CELLS - 1).astype(np.int64)
    code = np.zeros(len(xy), np.int64)
    for bit in range(15):
        code |= (cells[:, 0] >> bit & 1) << (2 * bit) | (cells[:, 1] >> bit & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable")


def _spread(n: int) -> NDArray[np.int64]:
    return np.linspace(0, n - 1, min(SAMPLE, n)).astype(np.int64)


def names_of(store: Store, ids: NDArray[np.uint8]) -> list[str]:
    """Return what each image is called: the name of its first member."""
    members = store.members.read(
        ["image", "name", "source", "ordinal"], "removed IS NULL AND image IS NOT NULL"
    ).sort_by([("source", "ascending"), ("ordinal", "ascending")])
    keys = sort_key(id_array(members["image"]))
    order = np.argsort(keys, kind="stable")
    places = order[np.searchsorted(keys[order], sort_key(ids))]
    names: list[str] = members["name"].take(pa.array(places)).to_pylist()
    return names


def _doubtful(ids: NDArray[np.uint8], names: list[str]) -> dict[int, str]:
    """Return how the images are called whose name several have."""
    counts = pc.value_counts(pa.array(names, pa.string()))
    twice = {one["values"] for one in counts.to_pylist() if one["counts"] > 1}
    return {place: f"id:{ids[place].tobytes().hex()[:HEX]}" for place, name in enumerate(names) if name in twice}
