"""Zip archives."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from engine.errors import SourceError
from engine.sources import sidecars
from engine.sources.base import Member, everything
from engine.sources.file import CHUNK, new_digest, read_range
from engine.sources.names import is_clutter
from engine.sources.sidecars import Entry, Unreadable

ENCRYPTED = 0x1  # general purpose bit 0
LOCAL_HEADER_BYTES = 30  # before the name; its last four bytes are the lengths of name and extra field
# Of the other methods, zipfile decompresses bzip2 and LZMA without a limit: 4 KiB of bzip2 can become gigabytes.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ZipSource:
    """A zip archive, in the order of its central directory."""

    kind = "zip"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)

    def digest(self) -> bytes:
        """Return 16 bytes of size, modification time and member table."""
        digest = new_digest(self.path)
        with self._open() as archive:
            for info in archive.infolist():
                row = f"{info.filename}\0{info.file_size} {info.CRC} {info.header_offset}\n"
                digest.update(row.encode("utf-8", "surrogatepass"))
        return digest.digest()

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (ordinal, name) from the central directory."""
        with self._open() as archive:
            yield from sidecars.names(self.path, _entries(archive))

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the wanted members."""
        with self._open() as archive:
            yield from sidecars.members(self.path, _entries(archive), wanted)

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        # A damaged directory raises BadZipFile, struct.error, ValueError, UnicodeDecodeError, NotImplementedError, ...
        except Exception as error:
            remedy = f"if it was cut off: zip -FF {self.path} --out repaired.zip"
            raise SourceError(f"{self.path} cannot be opened as a zip archive ({error})", remedy) from error


def _entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    for info in archive.infolist():
        if not info.is_dir() and not is_clutter(info.filename):
            yield _entry(archive, info)


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    fetch = partial(_fetch, archive, info)
    mode = info.external_attr >> 16
    if stat.S_ISLNK(mode):
        return Entry(info.filename, 0, fetch, problem="symbolic link", regular=False)
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return Entry(info.filename, 0, fetch, problem="not a regular file", regular=False)
    return Entry(info.filename, info.file_size, fetch, problem=_problem(info))


def _problem(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & ENCRYPTED:
        return "encrypted"
    if info.compress_type not in METHODS:
        return f"zip compression method {info.compress_type}; only stored and deflated files are read"
    return None


def _fetch(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[bytes, int | None]:
    # zipfile hands out no more than the declared size, so that the limit on it holds for the bytes too.
    chunks = []
    try:
        with archive.open(info) as member:
            while chunk := member.read(CHUNK):
                chunks.append(chunk)
        offset = _data_offset(archive, info) if info.compress_type == zipfile.ZIP_STORED else None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise Unreadable(str(error)) from error
    except (zlib.error, EOFError, OSError, ValueError) as error:
        raise Unreadable(f"damaged: {error or type(error).__name__}") from error
    data = b"".join(chunks)
    if len(data) != info.file_size:
        raise Unreadable(f"damaged: {len(data)} bytes where {info.file_size} were declared")
    return data, offset


def _data_offset(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    header = read_range(str(archive.filename), info.header_offset, LOCAL_HEADER_BYTES)
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return info.header_offset + LOCAL_HEADER_BYTES + name + extra
