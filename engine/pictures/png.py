"""PNG files that are whole or not there."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.errors import BadInput


def check(path: Path) -> None:
    """Raise `BadInput` if `path` does not end in .png or its folder is missing."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"'{path}' is not a PNG name", f"name it '{path.parent / (path.stem or 'grid')}.png'")
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder '{path.parent}'", f"mkdir -p '{path.parent}'")


def save(path: Path, write: Callable[[Path], object]) -> Path:
    """Have `write` write a picture at `path` and return `path`; a file that was there is replaced whole.

    Raises `BadInput` if it cannot be written.
    """
    # In the same folder, because only there is a rename atomic.
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.png")
    try:
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"'{path}' cannot be written: {error.strerror}", "name another file") from error
    finally:
        # Where it could not be written it cannot be removed either.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path
