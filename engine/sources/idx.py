"""IDX files, the format of MNIST: http://yann.lecun.com/exdb/mnist describes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput, SourceCut, SourceError
from engine.sources.base import Member, everything
from engine.sources.file import Stream, edges_digest
from engine.sources.names import printable
from engine.sources.sidecars import MAX_MEMBER_BYTES

IMAGES_MAGIC = b"\0\0\x08\x03"  # unsigned bytes, three dimensions
LABELS_MAGIC = b"\0\0\x08\x01"
HEADER_BYTES = 16


def is_idx(start: bytes) -> bool:
    """Tell whether a file that starts so is IDX of any type (9 to 14 are the wider numbers) and rank."""
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in (8, 9, 11, 12, 13, 14) and 1 <= start[3] <= 4


class IdxSource:
    """The pictures of an IDX file: bare 8-bit grey pixels, plain or compressed."""

    kind = "idx"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        with Stream(self.path) as stream:
            self._count, self._shape = self._read_header(stream)
            self._compressed = stream.compressed
        base = printable(os.path.basename(self.path))
        self._base = base.removesuffix(".gz") if self._compressed else base

    def digest(self) -> bytes:
        """Return 16 bytes of size, modification time and the first and last 64 KiB."""
        return edges_digest(self.path)

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (i, "file name/i")."""
        for member in self._pictures(lambda ordinal: False):
            yield member.ordinal, member.name

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the wanted pictures; raise `SourceCut` after the last whole one."""
        return (member for member in self._pictures(wanted) if member.data is not None)

    def _pictures(self, wanted: Callable[[int], bool]) -> Iterator[Member]:
        height, width = self._shape
        size = height * width
        with Stream(self.path) as stream:
            for i in range(self._count):
                start = stream.seek(HEADER_BYTES + i * size)
                data = stream.read(size) if wanted(i) else None
                if stream.seek(start + size) < HEADER_BYTES + (i + 1) * size:
                    reason = f" ({stream.problem})" if stream.problem else ""
                    raise SourceCut(
                        f"{self.path} is cut off{reason}: {i} of {self._count} pictures are whole",
                        "fetch the file again and repeat the command; nothing is stored twice",
                    )
                offset = None if self._compressed else start
                yield Member(i, f"{self._base}/{i}", data, offset=offset, size=size, shape=self._shape)

    def _read_header(self, stream: Stream) -> tuple[int, tuple[int, int]]:
        header = stream.read(HEADER_BYTES)
        if header.startswith(LABELS_MAGIC):
            raise SourceError(f"{self.path} holds IDX labels, not pictures", f"give it as --labels {self.path}")
        if not header.startswith(IMAGES_MAGIC) or len(header) < HEADER_BYTES:
            kind = header[:4].hex() or "empty"
            raise SourceError(f"{self.path} is not an IDX file of 8-bit pictures (magic {kind}, not 00000803)")
        count, height, width = (int.from_bytes(header[at : at + 4], "big") for at in (4, 8, 12))
        if not 0 < height * width <= MAX_MEMBER_BYTES:
            raise SourceError(f"{self.path} declares pictures of {width} x {height} pixels", "is the file damaged?")
        return count, (height, width)


def read_idx_labels(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Return the labels (n,) of an IDX label file, plain or compressed; raise `BadInput` if it is none or cut off."""
    try:
        with Stream(os.fspath(path)) as stream:
            header = stream.read(8)
            if not header.startswith(LABELS_MAGIC) or len(header) < 8:
                raise BadInput(f"{path} is not an IDX label file (magic {header[:4].hex()}, not 00000801)")
            count = int.from_bytes(header[4:], "big")
            data = stream.read(count)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if len(data) < count:
        raise BadInput(f"{path} is cut off: {len(data)} of {count} labels", "fetch the file again")
    return np.frombuffer(data, np.uint8)
