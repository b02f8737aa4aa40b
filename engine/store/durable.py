"""What keeps a table whole through kill -9, power loss and a full disk. Lance itself never calls fsync."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from engine.errors import DiskFull, StoreDamaged

# Free bytes below which no commit is begun: Lance needs room for a manifest to fail cleanly.
RESERVE = 16 * 2**20
MARK, SUFFIX = b"LANC", ".manifest"
PARTS = ("data", "_versions", "_transactions", "_deletions", "_indices")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path` alone, among all threads and processes."""
    if path.is_symlink():
        path.unlink()
    file = lock_file(path)
    if file is None:
        yield
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def if_free(path: Path) -> Iterator[bool]:
    """Hold the lock file at `path` alone if nobody has it, and say whether we hold it; there is nothing to wait for."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def lock_file(path: Path) -> IO[str] | None:
    """Return a lock file, opened for reading where it cannot be written; None where there is none and cannot be."""
    try:
        return open(path, "w")
    except OSError as error:
        if not is_unwritable(error):
            raise
    with suppress(OSError):
        return open(path)
    return None


def is_unwritable(error: OSError) -> bool:
    """Say whether the error is that of a place that we may not write to."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def own_folder(root: Path, *names: str) -> Path:
    """Return the folder `names` below `root`, made if need be. A link in the way goes: what is written stays here."""
    root.mkdir(parents=True, exist_ok=True)
    folder = root
    for name in names:
        folder = folder / name
        if folder.is_symlink():
            folder.unlink()
        folder.mkdir(exist_ok=True)
    return folder


def folders(root: Path) -> list[Path]:
    """Return the folders in `root`, none if there is no `root`. Links are removed; what they point to is not ours."""
    if root.is_symlink():
        root.unlink()
    if not root.is_dir():
        return []
    for path in root.iterdir():
        if path.is_symlink():
            path.unlink()
    return sorted(path for path in root.iterdir() if path.is_dir())


def empty(folder: Path, *, keep: Collection[str] = ()) -> None:
    """Remove all that lies in `folder`, whatever it is, but for the names in `keep`. Of a link only the link goes."""
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def publish(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document in one step, on the disk before it is seen."""
    scratch = path.with_name(f"{path.name}.tmp")
    # Of a killed process, or a link.
    scratch.unlink(missing_ok=True)
    scratch.write_text(json.dumps(document))
    fsync(scratch)
    os.replace(scratch, path)
    fsync(path.parent)


def files(table: Path) -> set[Path]:
    """Return every file of a Lance table."""
    return {Path(folder, name) for part in PARTS for folder, _, names in os.walk(table / part) for name in names}


def fsync(path: Path) -> None:
    """Force a file or a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def durable(table: Path) -> Iterator[None]:
    """Flush to the disk, before the block is left, every file that appeared in `table` within it."""
    before = files(table)
    require_space(table.parent)
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise disk_full(table.parent) from error
        raise
    new = files(table) - before
    for path in new:
        # Another writer's compaction may have removed the file since.
        with suppress(FileNotFoundError):
            fsync(path)
    # The table's own directory too: `_deletions` is made when rows are first deleted.
    parents = {path.parent for path in new}
    for directory in parents | {path.parent for path in parents} | {table} | (set() if before else {table.parent}):
        fsync(directory)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or as it was before, whatever stops the process; raise `DiskFull`."""
    require_space(path.parent, len(data))
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(data)
        fsync(scratch)
        os.replace(scratch, path)
        fsync(path.parent)
    except OSError as error:
        if is_full(error):
            raise disk_full(path.parent) from error
        raise
    finally:
        scratch.unlink(missing_ok=True)


def require_space(folder: Path, needed: int = 0) -> None:
    """Raise `DiskFull` if fewer than `needed` bytes plus a reserve are free under `folder`."""
    state = os.statvfs(folder)
    if state.f_bavail * state.f_frsize < RESERVE + needed:
        raise disk_full(folder)


def is_full(error: BaseException) -> bool:
    """Say whether the error, ours or one that Lance tells in words, is that of a full disk."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def disk_full(folder: Path) -> DiskFull:
    """Return the error that says how much is free under `folder`."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize / 2**20
    return DiskFull(
        f"the disk under {folder} is full ({free:.0f} MiB free)", "make space, then give the same command again"
    )


def newest_manifest(table: Path) -> Path | None:
    """Return the manifest of the last version. Lance names them 2⁶⁴−1−version, so the smallest name is the newest."""
    try:
        stems = [name.removesuffix(SUFFIX) for name in os.listdir(table / "_versions") if name.endswith(SUFFIX)]
    except (FileNotFoundError, NotADirectoryError):
        return None
    newest = min((stem for stem in stems if stem.isdigit()), key=lambda stem: stem.zfill(20), default=None)
    return None if newest is None else table / "_versions" / f"{newest}{SUFFIX}"


def is_torn(manifest: Path | None) -> bool:
    """Say whether a manifest did not reach the disk whole: an intact one ends with Lance's mark."""
    # A compaction may remove it between the listing and now; then a newer one is there.
    with suppress(FileNotFoundError):
        return manifest is not None and manifest.read_bytes()[-len(MARK) :] != MARK
    return False


def check_manifest(table: Path) -> None:
    """Raise `StoreDamaged` if power was lost before the newest manifest reached the disk."""
    if is_torn(newest_manifest(table)):
        raise StoreDamaged(
            f"the newest version of table '{table.stem}' is empty or cut off (the machine lost power during a write)",
            "bring the last good version back: engine verify --repair",
        )


def repair(table: Path) -> list[Path]:
    """Remove torn manifests from the newest backwards; return what was removed."""
    removed = []
    while (manifest := newest_manifest(table)) is not None and is_torn(manifest):
        manifest.unlink()
        removed.append(manifest)
    if removed:
        # The hint may name the version that is gone.
        (table / "_versions" / "latest_version_hint.json").unlink(missing_ok=True)
        fsync(table / "_versions")
    return removed
