"""What a network is trained on: the store's thumbnails as one array of small squares in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine import decode
from engine.encoders.base import Geometry, Pixels
from engine.encoders.machine import cores
from engine.errors import BadInput
from engine.progress import Progress
from engine.store import Store
from engine.store.durable import disk_full, fsync, is_full, require_space, write_whole
from engine.store.seals import all_renewed, seal
from engine.store.vectors import id_array, sort_key

# Thumbnails that are read in one go; Lance holds several of these batches.
BATCH = 256
SQUARES, KEPT = "pictures.u8", "pictures.json"
# Pictures of which none differs from the others by a grey level anywhere teach nothing.
ALIKE, SAMPLE = 1.0, 1000


@dataclass(frozen=True)
class Pictures:
    """`pixels` uint8 (n, side, side, 3), mapped from a file, in the order of `ids` (n, 32), which are sorted.

    `rows` int64 are those that could be decoded: the others hold nothing.
    """

    ids: NDArray[np.uint8]
    pixels: Pixels
    rows: NDArray[np.int64]

    @property
    def corrupt(self) -> int:
        return len(self.ids) - len(self.rows)


def gather(store: Store, ids: NDArray[np.uint8], geometry: Geometry, folder: Path, *, progress: Progress) -> Pictures:
    """Return the thumbnails of `ids` (n, 32), sorted, as squares; what `folder` holds of them whole is not made again.

    The thumbnails are streamed. One that is missing or cannot be decoded is left out of `rows`. Raises `DiskFull`.
    """
    side, path = geometry.side, folder / SQUARES
    folder.mkdir(parents=True, exist_ok=True)
    corrupt = _kept(folder, len(ids), side)
    if corrupt is None:
        require_space(folder, len(ids) * 3 * side**2)
        good = np.zeros(len(ids), bool)
        progress.begin("read thumbnails", len(ids))
        try:
            with path.open("wb") as file:
                for places, squares in _squares(store, ids, geometry):
                    # Not through a mapping: there a full disk is a signal that ends the process.
                    for place, square in zip(places, squares, strict=True):
                        if square is not None:
                            os.pwrite(file.fileno(), square.tobytes(), int(place) * 3 * side**2)
                            good[place] = True
                    progress.advance(len(places), sum(square is None for square in squares))
                file.truncate(len(ids) * 3 * side**2)
            fsync(path)
        except OSError as error:
            if is_full(error):
                path.unlink(missing_ok=True)
                raise disk_full(folder) from error
            raise
        corrupt = np.flatnonzero(~good).tolist()
        write_whole(folder / KEPT, json.dumps({"corrupt": corrupt, "seals": {SQUARES: seal(path)}}).encode())
    pixels = np.memmap(path, np.uint8, "r", shape=(len(ids), side, side, 3))
    return Pictures(ids, pixels, np.setdiff1d(np.arange(len(ids)), corrupt))


def _kept(folder: Path, n: int, side: int) -> list[int] | None:
    """Return the places that hold nothing among `n` squares kept in `folder`; None if those are not as written."""
    try:
        known = json.loads((folder / KEPT).read_text())
        corrupt: list[int] = np.array(known["corrupt"], np.int64).tolist()
        whole = known["seals"].keys() == {SQUARES} and known["seals"][SQUARES]["size"] == n * 3 * side**2
        return corrupt if whole and all_renewed(folder, known["seals"]) is not None else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _squares(
    store: Store, ids: NDArray[np.uint8], geometry: Geometry
) -> Iterator[tuple[NDArray[np.int64], list[Pixels | None]]]:
    """Yield (places in `ids`, squares) of thumbnails, in the order in which they lie in the store."""
    keys = sort_key(ids)
    with ThreadPoolExecutor(cores()) as pool:
        for batch in store.thumbnails.scan(["id", "thumbnail"], rows=BATCH):
            found = sort_key(id_array(batch["id"]))
            places = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
            wanted = np.flatnonzero(keys[places] == found)
            data: list[bytes] = batch["thumbnail"].take(pa.array(wanted)).to_pylist()
            yield places[wanted], list(pool.map(lambda one: square(one, geometry), data))


def square(thumbnail: bytes, geometry: Geometry) -> Pixels | None:
    """Return a thumbnail as an encoder with that `geometry` sees it, or None if it is damaged."""
    try:
        return geometry.apply(decode.decode(thumbnail).image)
    except decode.Rejected:
        return None


def check_variety(pictures: Pictures) -> None:
    """Raise `BadInput` if the pictures are all alike, so that there is nothing to tell apart."""
    rows = pictures.rows[:: max(1, len(pictures.rows) // SAMPLE)]
    if np.asarray(pictures.pixels[rows], np.float32).std(axis=0).max(initial=0) < ALIKE:
        raise BadInput(
            f"{len(pictures.rows)} pictures are all alike at {pictures.pixels.shape[1]} pixels: nothing can be learnt",
            "ingest pictures that differ",
        )
