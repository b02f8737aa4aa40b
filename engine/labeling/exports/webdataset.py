"""WebDataset: tar shards in which each image has a number, its `.cls` (the number of its class) and its `.json`."""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

from engine.labeling.exports.labelled import Labelled
from engine.labeling.exports.pictures import extension_of, pictures

SHARD_IMAGES = 10_000
SHARD_BYTES = 2**30


def write(labelled: Labelled, path: Path) -> int:
    """Write the images that have a label into `path`/shard-000000.tar …; return how many.

    All pictures end alike. `.cls` is a whole number because the readers take it for one; `.json` has the class by name,
    score, name and id.
    """
    number = {name: place for place, name in enumerate(labelled.classes)}
    ending = _ending(labelled)
    rows, shard, since = 0, 0, 0
    tar = _open(path, shard)
    try:
        for row, data in pictures(labelled.store, labelled.only_labelled()):
            if rows - since == SHARD_IMAGES or tar.offset >= SHARD_BYTES:
                tar.close()
                shard, since = shard + 1, rows
                tar = _open(path, shard)
            key = f"{rows:09d}"
            _add(tar, f"{key}.{ending}", data)
            _add(tar, f"{key}.cls", str(number[row["label"]]).encode())
            _add(tar, f"{key}.json", json.dumps(_about(row), ensure_ascii=False).encode())
            rows += 1
    finally:
        tar.close()
    return rows


def _ending(labelled: Labelled) -> str:
    """Return the ending of all pictures: that of the format most of them have.

    Loaders want the same endings in every sample, Hugging Face's refuses others; the format they take from the bytes.
    """
    counted = Counter(map(extension_of, labelled.only_labelled()["format"].to_pylist()))
    return counted.most_common(1)[0][0] if counted else "jpg"


def _about(row: dict[str, Any]) -> dict[str, Any]:
    return {"label": row["label"], "score": row["score"], "name": row["name"], "id": row["id"].hex()}


def _open(path: Path, shard: int) -> tarfile.TarFile:
    return tarfile.open(path / f"shard-{shard:06d}.tar", "w", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    tar.addfile(header, io.BytesIO(data))
