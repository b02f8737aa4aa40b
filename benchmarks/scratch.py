"""Folders for what is measured, which do not outlive it: neither an interruption nor a kill leaves one for good."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import is_running

SCRATCH = "scratch-"


def fresh_folder(path: Path) -> None:
    """Make an empty folder in place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.mkdir(parents=True)


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """Give a folder under `output` for the time of a block; one that a killed process left behind is taken away."""
    for left in output.glob(f"{SCRATCH}*-*"):
        number = left.name.removeprefix(SCRATCH).partition("-")[0]
        if number.isdecimal() and not is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{SCRATCH}{os.getpid()}-", dir=output) as folder:
        yield Path(folder)
