"""A folder and everything under it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial

from engine.sources import sidecars
from engine.sources.base import Member, everything
from engine.sources.names import is_clutter, printable
from engine.sources.sidecars import Entry, Unreadable

STORE_MARK = "members.lance"
KINDS = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"}


class FolderSource:
    """A folder, depth first, sorted by name; hidden files and folders are skipped."""

    kind = "folder"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.abspath(path)
        self._listing: list[tuple[str, str, os.stat_result | str]] | None = None

    def _listed(self) -> list[tuple[str, str, os.stat_result | str]]:
        """Return the files as they were at the first look: what changes meanwhile cannot shift an ordinal."""
        if self._listing is None:
            self._listing = list(_walk(self.path))
        return self._listing

    def digest(self) -> bytes:
        """Return 16 bytes of the relative name, size and modification time of every file."""
        digest = hashlib.blake2b(digest_size=16)
        for name, _, status in self._listed():
            facts = f"{status.st_size} {status.st_mtime_ns}" if isinstance(status, os.stat_result) else status
            digest.update(f"{name}\0{facts}\n".encode("utf-8", "surrogateescape"))
        return digest.digest()

    def names(self) -> Iterator[tuple[int, str]]:
        """Yield (ordinal, path relative to the folder, with slashes)."""
        return sidecars.names(self.path, self._entries())

    def members(self, wanted: Callable[[int], bool] = everything) -> Iterator[Member]:
        """Yield the wanted members; the others are not opened."""
        return sidecars.members(self.path, self._entries(), wanted)

    def _entries(self) -> Iterator[Entry]:
        for name, path, status in self._listed():
            fetch = partial(_fetch, path)
            if isinstance(status, str):
                yield Entry(name, 0, fetch, problem=status, regular=False)
            elif stat.S_ISREG(status.st_mode):
                yield Entry(name, status.st_size, fetch)
            else:
                yield Entry(name, 0, fetch, problem=_kind(path, status), regular=False)


def _walk(root: str, prefix: str = "") -> Iterator[tuple[str, str, os.stat_result | str]]:
    """Yield (name, path, status) of all but folders; the status of what cannot be looked at is the reason."""
    try:
        with os.scandir(root) as scan:
            children = sorted(scan, key=lambda child: child.name)
    except OSError as error:
        yield prefix, root, f"unreadable folder: {error.strerror}"
        return
    for child in children:
        name = prefix + child.name
        if child.name.startswith(".") or child.name == "__MACOSX" or is_clutter(name):
            continue
        try:
            status = child.stat(follow_symlinks=False)
        except OSError as error:
            yield name, child.path, f"unreadable: {error.strerror}"
            continue
        if stat.S_ISDIR(status.st_mode):
            if os.path.isdir(os.path.join(child.path, STORE_MARK)):
                # A store among the pictures is not one of them.
                continue
            yield from _walk(child.path, name + "/")
        else:
            yield name, child.path, status


def _kind(path: str, status: os.stat_result) -> str:
    if not stat.S_ISLNK(status.st_mode):
        return KINDS.get(stat.S_IFMT(status.st_mode), "not a regular file")
    try:
        return f"symbolic link to {printable(os.readlink(path))!r}"
    except OSError as error:
        return f"symbolic link: {error.strerror}"


def _fetch(path: str) -> tuple[bytes, int | None]:
    try:
        with open(path, "rb") as file:
            return file.read(), 0
    except OSError as error:
        raise Unreadable(f"unreadable: {error.strerror}") from error
