"""The background of a space, kept in the cache: what share of random pairs of its images reaches a score.

`STORE/cache/background/TABLE/` holds NAME.npz and `state.json`, which names it, seals it, and says of which vectors it
was measured. It answers for those and for what is appended to them, whoever put it there: where the vectors are not
known to be the same, the rows that were sampled are compared.
"""

from __future__ import annotations

import json
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.store import Space, Store, VectorCache
from engine.store.durable import empty, fsync, locked, own_folder, publish
from engine.store.seals import STATE, all_renewed, seal
from engine.store.vectors import LOCK
from indexers.background import ROWS, SEED, Background, measure, sampled

# By how much of itself a space may grow before its background is measured again.
DRIFT = 0.1


def background(store: Store, space: Space, vectors: VectorCache) -> Background:
    """Return the background of a space with these `vectors`, measured where the cache has none that still fits."""
    # A virtual space has no table; what its scores are is all in the fingerprint of its recipe.
    name = f"fused_{space.fingerprint}" if space.virtual else space.table
    # An answer does not depend on what can be kept: the store may be read-only or the disk full.
    with suppress(OSError):
        home = own_folder(store.cache, "background", name)
        with locked(home / LOCK):
            return _read(home, name, vectors) or _measured(home, name, vectors)
    return measure(vectors.matrix)


def _read(home: Path, name: str, vectors: VectorCache) -> Background | None:
    """Return the background that is kept, None if there is none or it was measured of other vectors."""
    # Absent, cut off by a power loss, or of another version: it is measured again.
    with suppress(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, zipfile.BadZipFile):
        state = json.loads((home / STATE).read_text())
        seals = all_renewed(home, state["seals"])
        if seals is None or state["recipe"] != _recipe(name) or not _fits(state, vectors):
            return None
        found = _loaded(home / state["file"], state["seals"][state["file"]]["checksum"])
        now = {**state, "seals": seals, "vectors": vectors.identity}
        if now != state:
            # Where it cannot be written, it is compared again next time.
            with suppress(OSError):
                publish(home / STATE, now)
        return found
    return None


def _fits(state: Mapping[str, Any], vectors: VectorCache) -> bool:
    """Say whether the rows that were measured lie where they lay, and not too many came after them."""
    rows = state["rows"]
    if not rows <= len(vectors) <= rows * (1 + DRIFT):
        return False
    return state["vectors"] == vectors.identity or state["checksum"] == _checksum(vectors, rows)


def _checksum(vectors: VectorCache, rows: int) -> int:
    """Return the checksum of what is sampled of the first `rows`: their ids and vectors."""
    chosen = sampled(rows)
    ids = zlib.crc32(np.ascontiguousarray(vectors.ids[chosen]).data)
    return zlib.crc32(np.ascontiguousarray(vectors.matrix[chosen]).data, ids)


def _recipe(name: str) -> str:
    return f"{name} sample {ROWS} seed {SEED}"


# The checksum stands for the content: a search that follows another need not read it again.
@lru_cache(maxsize=8)
def _loaded(path: Path, checksum: int) -> Background:
    # Opened here: of an archive that is none, NumPy would leave the file open.
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return Background(file["scores"], file["ranks"], int(file["pairs"]), float(file["spread"]))


def _measured(home: Path, name: str, vectors: VectorCache) -> Background:
    """Measure the background, and keep it if it can be kept."""
    found = measure(vectors.matrix)
    with suppress(OSError):
        path = home / f"{secrets.token_hex(4)}.npz"
        np.savez(path, scores=found.scores, ranks=found.ranks, pairs=found.pairs, spread=found.spread)
        fsync(path)
        rows = len(vectors)
        state = {"file": path.name, "recipe": _recipe(name), "rows": rows, "checksum": _checksum(vectors, rows)}
        publish(home / STATE, {**state, "vectors": vectors.identity, "seals": {path.name: seal(path)}})
        empty(home, keep=(LOCK, STATE, path.name))
    return found
