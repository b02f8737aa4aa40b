"""Tar archives, plain or compressed (gzip, bzip2, xz)."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

from engine.sources import sidecars
from engine.sources.base import Member, everything
from engine.sources.file import CHUNK, Stream, edges_digest, is_compressed, new_digest
from engine.sources.names import is_clutter, printable
from engine.sources.sidecars import Cut, Entry, Fetch, Unreadable

# Headers that carry a long name or PAX records are read whole; real ones are some kilobytes.
MAX_HEADER_BYTES = 1 << 20
# After the end mark comes padding to a full record; behind it, in a compressed file, the check sum.
MAX_TAIL_BYTES = 16 << 20
LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
KINDS = {tarfile.CHRTYPE: "character device", tarfile.BLKTYPE: "block device", tarfile.FIFOTYPE: "FIFO"}


class StrictHeader(tarfile.TarInfo):
    """A header that is an error where it is damaged: `tarfile` takes any damage after the first member for the end."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: Any, errors: str) -> StrictHeader:
        simple = cls._simple(buf, encoding, errors)
        if simple is not None:
            return simple
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.strip(b"\0"):
                raise Cut(str(error)) from error
            raise  # nothing or a block of zeros: the end
        if header.size < 0 or (header.type in LONG + PAX and header.size > MAX_HEADER_BYTES):
            raise Cut(f"a header of {header.size} bytes")
        return header

    @classmethod
    def _simple(cls, buf: bytes, encoding: str, errors: str) -> StrictHeader | None:
        """Return the header of a regular file with a short name, or None: the rest is for `tarfile`.

        It reads the four fields that are needed here and not all seventeen, which halves the time of listing.
        """
        if len(buf) != tarfile.BLOCKSIZE or buf[156:157] != tarfile.REGTYPE or buf[345]:
            return None
        try:
            size = int(buf[124:136].partition(b"\0")[0], 8)
            checksum = int(buf[148:156].partition(b"\0")[0], 8)
        except ValueError:
            return None
        if size < 0 or checksum != sum(buf) - sum(buf[148:156]) + 8 * ord(" "):
            return None
        header = cls(buf[:100].partition(b"\0")[0].decode(encoding, errors))
        header.size = size
        return header


class TarSource:
    """A tar archive; a compressed one is read as a stream, from the start."""

    kind = "tar"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)

    def digest(self) -> bytes:
        """Return 16 bytes of size, modification time and member table; of both ends where it is compressed."""
        if is_compressed(self.path):
            return edges_digest(self.path)
        digest = new_digest(self.path)
        try:
            with open(self.path, "rb") as file:
                for _, header in _headers(file):
                    row = f"{header.name}\0{header.size} {header.offset_data}\n"
                    digest.update(row.encode("utf-8", "surrogateescape"))
        except Cut as cut:
            digest.update(str(cut).encode())
        return digest.digest()

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (ordinal, name) from the headers."""
        with self._entries() as entries:
            yield from sidecars.names(self.path, entries)

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the wanted members; raise `SourceCut` after the last good one."""
        with self._entries() as entries:
            yield from sidecars.members(self.path, entries, wanted)

    @contextmanager
    def _entries(self) -> Iterator[Iterator[Entry]]:
        """Yield the entries; the file stays open, for the last of them are fetched after the listing has ended."""
        if is_compressed(self.path):
            with Stream(self.path) as stream:
                yield _streamed(stream)
        else:
            with open(self.path, "rb") as file:
                yield _plain(file)


def _plain(file: IO[bytes]) -> Iterator[Entry]:
    end = os.fstat(file.fileno()).st_size
    for tar, header in _headers(file):
        if _data_end(tar, header) > end:
            raise Cut(f"{header.name!r} goes on past the end")
        if header.issparse():
            yield _entry(header, partial(_extract_sparse, tar, header))
        else:
            yield _entry(header, partial(_fetch, file, header))


def _streamed(stream: Stream) -> Iterator[Entry]:
    try:
        for tar, header in _headers(stream):
            yield _entry(header, partial(_extract, tar, header), partial(_skip, tar, header))
    except Cut as cut:
        raise Cut(stream.problem or str(cut)) from cut
    stream.seek(stream.tell() + MAX_TAIL_BYTES)
    if stream.problem:
        raise Cut(stream.problem)


def _headers(file: Any) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Yield every header that is not a directory or clutter; raise `Cut` where the next one cannot be read."""
    try:
        # Not closed here: the file belongs to the caller, and sparse members are read through it later.
        tar = tarfile.open(fileobj=file, mode="r:", tarinfo=StrictHeader, encoding="utf-8")  # noqa: SIM115
        while (header := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile remembers every header it has seen
            if header.size < 0 or tar.offset <= header.offset:
                raise Cut(f"a header of {header.size} bytes")
            if not header.isdir() and not is_clutter(header.name):
                yield tar, header
    except Cut:
        raise
    # Damaged headers raise much more than tarfile.TarError: ValueError, OverflowError, RecursionError, ...
    except Exception as error:
        raise Cut(str(error) or type(error).__name__) from error


def _entry(header: tarfile.TarInfo, fetch: Fetch, skip: Callable[[], None] | None = None) -> Entry:
    if header.isreg():
        return Entry(header.name, header.size, fetch, skip=skip)
    if header.issym() or header.islnk():
        problem = f"{'symbolic' if header.issym() else 'hard'} link to {printable(header.linkname)!r}"
    else:
        problem = KINDS.get(header.type, f"not a regular file (type {header.type!r})")
    return Entry(header.name, 0, fetch, problem=problem, regular=False)


def _data_end(tar: tarfile.TarFile, header: tarfile.TarInfo) -> int:
    if header.issparse():
        return tar.offset  # `size` counts the holes; this is the next header's place
    return header.offset_data + (header.size if header.isreg() else 0)


def _fetch(file: IO[bytes], header: tarfile.TarInfo) -> tuple[bytes, int | None]:
    file.seek(header.offset_data)
    data = file.read(header.size)
    if len(data) < header.size:
        raise Unreadable("the archive became shorter while it was read")
    return data, header.offset_data


def _extract(tar: tarfile.TarFile, header: tarfile.TarInfo) -> tuple[bytes, int | None]:
    """Return the bytes in small steps: the size in a header may be a lie."""
    chunks = []
    try:
        with tar.extractfile(header) as member:  # type: ignore[union-attr]
            while chunk := member.read(CHUNK):
                chunks.append(chunk)
    # As with headers: a damaged map of holes raises many kinds.
    except Exception as error:
        raise Cut(str(error)) from error
    return b"".join(chunks), None


def _extract_sparse(tar: tarfile.TarFile, header: tarfile.TarInfo) -> tuple[bytes, int | None]:
    try:
        return _extract(tar, header)
    except Cut as cut:  # in a plain archive the next header is found all the same
        raise Unreadable(f"damaged: {cut}") from cut


def _skip(tar: tarfile.TarFile, header: tarfile.TarInfo) -> None:
    stream: Any = tar.fileobj
    end = _data_end(tar, header)
    if stream.seek(end) < end:
        raise Cut(f"{header.name!r} is not complete")
