"""Where images come from. Bytes come in here and nowhere else."""

from __future__ import annotations

import glob
import os
import tarfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from engine.errors import SourceError
from engine.sources.base import Member, Source, everything
from engine.sources.file import Stream, read_range
from engine.sources.idx import is_idx, read_idx_labels

__all__ = ["SOURCES", "Member", "Source", "everything", "expand", "open_source", "read_idx_labels", "read_range"]

SOURCES = {
    "tar": "engine.sources.tar:TarSource",
    "zip": "engine.sources.zip:ZipSource",
    "folder": "engine.sources.folder:FolderSource",
    "file": "engine.sources.file:FileSource",
    "idx": "engine.sources.idx:IdxSource",
}
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
ARCHIVE_ENDINGS = (".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz")
BLOCK = 512


def open_source(path: str | os.PathLike[str]) -> Source:
    """Return the source at `path`, its kind told by its first bytes; raise `SourceError` if there is none."""
    module, _, name = SOURCES[_kind(str(path))].partition(":")
    source: Source = getattr(import_module(module), name)(path)
    return source


def expand(arguments: Sequence[str]) -> list[Path]:
    """Return the paths named, patterns that no shell has expanded included; raise `SourceError` if one names nothing.

    A path that exists is taken as it is, whatever characters are in it.
    """
    paths: list[Path] = []
    for argument in arguments:
        if not argument.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in argument):
            # The store keeps paths as text.
            raise SourceError(f"the path {argument!r} is not UTF-8", "rename it")
        if os.path.exists(argument):
            paths.append(Path(argument))
        elif found := sorted(glob.glob(argument, recursive=True)):
            paths.extend(map(Path, found))
        else:
            kind = "no file matches" if glob.has_magic(argument) else "there is no"
            raise SourceError(f"{kind} {argument!r}", "name a tar, zip, folder, IDX or image file")
    return paths


def _kind(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    if os.path.exists(path) and not os.path.isfile(path):
        raise SourceError(f"{path} is neither a file nor a folder", "name a tar, zip, folder, IDX or image file")
    try:
        with Stream(path) as stream:
            start = stream.read(BLOCK)
            compressed, problem = stream.compressed, stream.problem
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}", "check the path and its permissions") from error
    if _is_tar(start, path):
        return "tar"
    if is_idx(start):
        return "idx"
    if not compressed and start.startswith(ZIP_MAGICS):
        return "zip"
    if path.lower().endswith(ARCHIVE_ENDINGS):
        reason = problem or (f"it starts with {start[:8]!r}" if start else "it is empty")
        raise SourceError(f"{path} is not an archive that can be read: {reason}", f"look at it with: file {path}")
    return "file"


def _is_tar(start: bytes, path: str) -> bool:
    if len(start) < BLOCK:
        return False
    if not start.strip(b"\0"):  # an archive without members; but zeros are also what a crashed disk leaves of a file
        return ".tar" in os.path.basename(path).lower()
    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
