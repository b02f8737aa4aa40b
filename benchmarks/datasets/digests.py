"""Digests of files that lie here already: taken once, and again where size or modification time differ."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.datasets.base import Place
from benchmarks.datasets.download import digest
from engine.store.durable import write_whole

KEPT = "digests.json"


def known_digest(path: Path, kind: str, place: Place) -> str:
    """Return `KIND:HEX` of a file, from the scratch folder if it was taken of the file as it is."""
    kept, status = place.scratch / KEPT, path.stat()
    key, state = f"{kind} {path.resolve()}", [status.st_size, status.st_mtime_ns]
    known = _read(kept)
    *of, found = known.get(key, [None])
    if of != state or not isinstance(found, str):
        found = digest(path, kind)
        place.scratch.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps({**known, key: [*state, found]}).encode())
    return found


def _read(path: Path) -> dict[str, list[object]]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    # Whatever else it may hold is taken anew.
    return {name: one for name, one in found.items() if isinstance(one, list) and one} if type(found) is dict else {}
