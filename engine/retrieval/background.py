"""The background of a space, kept in the cache: what share of random pairs of its images reaches a score."""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine.store import Space, Store, VectorCache
from indexers.background import ROWS, SEED, Background, measure

# By how much of itself a space may grow or shrink before its background is measured again.
DRIFT = 0.1


def background(store: Store, space: Space, vectors: VectorCache) -> Background:
    """Return the background of a space with these `vectors`, measured where the cache has none that still fits."""
    # A virtual space has no table; what its scores are is all in the fingerprint of its recipe.
    name = f"fused_{space.fingerprint}" if space.virtual else space.table
    path = store.cache / "background" / f"{name}.npz"
    identity = f"{name} sample {ROWS} seed {SEED}"
    known = _read(path, identity, len(vectors))
    if known is not None:
        return known
    found = measure(vectors.matrix)
    # An answer does not depend on what can be kept: the store may be read-only or the disk full.
    with suppress(OSError):
        _write(path, found, identity, len(vectors))
    return found


def _read(path: Path, identity: str, rows: int) -> Background | None:
    try:
        kept = _loaded(path, path.stat().st_mtime_ns)
    # Absent, cut off by a power loss, or of another version: it is measured again.
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = kept.identity == identity and abs(rows - kept.rows) <= DRIFT * kept.rows
    return kept.background if fits else None


@dataclass(frozen=True)
class _Kept:
    """A background with what it was measured of."""

    background: Background
    identity: str
    rows: int


# `written` is the file's time: a search that follows another need not read it again.
@lru_cache(maxsize=8)
def _loaded(path: Path, written: int) -> _Kept:
    # Opened here: of an archive that is none, NumPy would leave the file open.
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        found = Background(file["scores"], file["ranks"], int(file["pairs"]), float(file["spread"]))
        return _Kept(found, str(file["identity"]), int(file["rows"]))


def _write(path: Path, found: Background, identity: str, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            np.savez(
                file, scores=found.scores, ranks=found.ranks, pairs=found.pairs, spread=found.spread,
                identity=identity, rows=rows,
            )  # fmt: skip
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
