"""Files that are there whole or not at all: written beside their place under a hidden name, then put into it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def whole(output: Path) -> Iterator[Path]:
    """Yield a hidden file beside `output` that becomes it when the block ends well, and goes otherwise.

    What killed processes left there of the same output goes first. Raises `OSError` if it cannot be made.
    """
    _sweep(output)
    file, scratch = _locked(output)
    with file:
        try:
            yield scratch
            os.replace(scratch, output)
        finally:
            scratch.unlink(missing_ok=True)


def _locked(output: Path) -> tuple[IO[bytes], Path]:
    """Return a new file, locked for as long as it is open: that tells one that is written from one that was left."""
    while True:
        scratch = output.with_name(f".{output.name}.{secrets.token_hex(4)}.tmp")
        try:
            file = scratch.open("xb")
        except OSError as error:
            # Nobody knows the hidden name.
            raise OSError(error.errno, error.strerror, str(output)) from None
        # Where files cannot be locked, nothing is taken for left.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Before it was locked another process may have taken it for left.
        if scratch.exists():
            return file, scratch
        file.close()


def _sweep(output: Path) -> None:
    left = re.compile(re.escape(f".{output.name}.") + r"[0-9a-f]+\.tmp")
    # Nothing is lost where something cannot be listed, opened or removed: it stays.
    with suppress(OSError):
        for entry in os.scandir(output.absolute().parent):
            if left.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), open(entry.path, "rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
