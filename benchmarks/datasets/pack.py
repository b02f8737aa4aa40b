"""Pictures in memory as a tar of PNG files: ingested like any others, and pixel by pixel what they were."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pack(pictures: Iterable[tuple[str, NDArray[np.uint8]]], path: Path, *, stamp: int = 0) -> Path:
    """Write (name, pixels (h, w) or (h, w, 3)) into a tar at `path`, whole or not at all, the same bytes each time.

    `stamp`, in seconds, becomes its modification time: tars of other pictures may have members of the same sizes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with tarfile.open(part, "w") as archive:
            for name, pixels in pictures:
                buffer = BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                entry = tarfile.TarInfo(name)
                entry.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(entry, buffer)
        # A source's digest has its modification time in it: made anew, it is the same source.
        os.utime(part, (stamp, stamp))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path
