"""Small notes in the cache, kept as JSON."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any


def recall(path: Path) -> dict[str, Any]:
    """Return the notes kept in `path`; none if the file is missing or damaged, since a cache can be lost."""
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def remember(path: Path, key: str, value: Any) -> None:
    """Add a note to `path`, by way of a renamed file: a reader sees the old notes or the new ones, never half."""
    notes = recall(path) | {key: value}
    # A cache that cannot be written (read-only, disk full) costs time in the next process, and nothing else.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as scratch:
            new = Path(scratch) / path.name
            new.write_text(json.dumps(notes, indent=1, sort_keys=True), encoding="utf-8")
            new.replace(path)
