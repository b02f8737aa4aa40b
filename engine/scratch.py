"""Files and folders that are there whole or not at all: written beside their place under a hidden name, then moved."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile


@contextmanager
def whole(output: Path, *, folder: bool = False) -> Iterator[Path]:
    """Yield a hidden file or `folder` beside `output` that becomes it when the block ends well, and goes otherwise.

    Where a folder is to be, nothing is yet, or an empty one. What killed processes left there of the same output goes
    first. Raises `OSError` if it cannot be made.
    """
    _sweep(output)
    handle, scratch = _locked(output, folder=folder)
    try:
        yield scratch
        os.replace(scratch, output)
    finally:
        os.close(handle)
        with suppress(FileNotFoundError):
            shutil.rmtree(scratch) if folder else scratch.unlink()


def probe(folder: Path) -> None:
    """Raise `OSError` if no file can be made in `folder`; permissions alone do not tell, as in /proc."""
    with TemporaryFile(dir=folder):
        pass


def _locked(output: Path, *, folder: bool) -> tuple[int, Path]:
    """Return a new file or folder, locked for as long as it is open: that tells what is written from what was left."""
    while True:
        scratch = output.absolute().with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
        try:
            scratch.mkdir() if folder else scratch.touch(exist_ok=False)
        except OSError as error:
            # Nobody knows the hidden name.
            raise OSError(error.errno, error.strerror, str(output)) from None
        # Before it is locked another process may take it for left.
        with suppress(FileNotFoundError):
            handle = os.open(scratch, os.O_RDONLY)
            # Where files cannot be locked, nothing is taken for left.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if scratch.exists():
                return handle, scratch
            os.close(handle)


def _sweep(output: Path) -> None:
    left = re.compile(re.escape(f".{output.name}.") + r"[0-9a-f]+\.tmp")
    # Nothing is lost where something cannot be listed, opened or removed: it stays.
    with suppress(OSError):
        for entry in os.scandir(output.absolute().parent):
            folder, file = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
            if left.fullmatch(entry.name) and (folder or file):
                with suppress(OSError):
                    _remove(entry.path, folder=folder)


def _remove(path: str, *, folder: bool) -> None:
    """Remove what nobody has locked."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path) if folder else os.unlink(path)
    finally:
        os.close(handle)
