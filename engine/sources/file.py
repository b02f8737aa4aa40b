"""One file: its bytes through gzip, bzip2 or xz, its digest, and the source that is a single image."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from engine.errors import SourceError
from engine.sources.base import Member, everything
from engine.sources.names import printable
from engine.sources.sidecars import MAX_MEMBER_BYTES

COMPRESSIONS: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
PLAIN: Callable[[str], Any] = partial(open, mode="rb")
CHUNK = 1 << 20
EDGE = 1 << 16


class Stream:
    """The bytes of a file, decompressed. Where they are damaged the stream ends, and `problem` says why."""

    def __init__(self, path: str) -> None:
        opener = _opener(path)
        self.compressed = opener is not PLAIN
        self.problem: str | None = None
        self._file = opener(path)
        self._at = 0

    def tell(self) -> int:
        """Return how many bytes lie before the next one."""
        return self._at

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end. Memory grows with what is there, not with what was asked for."""
        chunks = []
        while size > 0 and self.problem is None:
            try:
                chunk = self._file.read1(min(size, CHUNK))
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                self.problem = str(error)
                break
            if not chunk:
                break
            chunks.append(chunk)
            size -= len(chunk)
            self._at += len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def seek(self, position: int) -> int:
        """Go to `position`, or to the end if that comes first; return where. Compressed bytes go forward only."""
        if not self.compressed:
            end = os.fstat(self._file.fileno()).st_size
            self._at = int(self._file.seek(min(position, end)))
        elif position < self._at:
            raise io.UnsupportedOperation("a compressed stream does not go back")
        while self._at < position and self.read(min(position - self._at, CHUNK)):
            pass
        return self._at

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _opener(path: str) -> Callable[[str], Any]:
    with open(path, "rb") as file:
        start = file.read(6)
    return next((opener for magic, opener in COMPRESSIONS.items() if start.startswith(magic)), PLAIN)


def is_compressed(path: str) -> bool:
    """Tell whether the file begins as gzip, bzip2 or xz do."""
    return _opener(path) is not PLAIN


def read_range(path: str, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset`, fewer where the file ends before; raise `OSError` as `open` does."""
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(min(size, max(0, os.fstat(file.fileno()).st_size - offset)))


def new_digest(path: str) -> hashlib.blake2b:
    """Return a 16-byte hash begun with the file's size and modification time."""
    status = os.stat(path)
    return hashlib.blake2b(f"{status.st_size} {status.st_mtime_ns}\n".encode(), digest_size=16)


def edges_digest(path: str) -> bytes:
    """Return 16 bytes of size, modification time and the first and last 64 KiB."""
    digest = new_digest(path)
    digest.update(read_range(path, 0, EDGE))
    digest.update(read_range(path, max(0, os.path.getsize(path) - EDGE), EDGE))
    return digest.digest()


class FileSource:
    """One image file."""

    kind = "file"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        if not os.path.isfile(self.path):
            raise SourceError(f"{self.path} is not a regular file", "name an image, an archive or a folder")

    def digest(self) -> bytes:
        """Return 16 bytes of name, size, modification time and the first and last 64 KiB."""
        name = os.fsencode(os.path.basename(self.path))
        return hashlib.blake2b(edges_digest(self.path) + name, digest_size=16).digest()

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (0, base name)."""
        yield 0, printable(os.path.basename(self.path))

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the file, if wanted."""
        if not wanted(0):
            return
        ((ordinal, name),) = self.names()
        size = os.path.getsize(self.path)
        if size > MAX_MEMBER_BYTES:
            yield Member(ordinal, name, None, f"{size} bytes, over the limit of {MAX_MEMBER_BYTES}", size=size)
            return
        try:
            data = read_range(self.path, 0, size)
        except OSError as error:
            yield Member(ordinal, name, None, str(error.strerror), size=size)
        else:
            yield Member(ordinal, name, data, offset=0, size=len(data))
