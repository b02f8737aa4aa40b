"""Answers as pictures, from the thumbnails: the sources need not be there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.pictures.grid import Tile, grid
from engine.query import Query
from engine.search import Answer
from engine.store import Store
from engine.store.names import resolve
from engine.store.table import in_list

MOST = 60


def thumbnails(store: Store, ids: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the encoded thumbnails of those of `ids` that have one."""
    rows = store.thumbnails.rows(where=in_list("id", list(ids)))
    return {row["id"]: row["thumbnail"] for row in rows}


def draw_answer(store: Store, query: Query, answer: Answer, path: Path) -> Path:
    """Draw the query and at most 60 hits, with scores and names, into a PNG file."""
    hits = answer.hits[:MOST]
    named = {name: resolve(store, name) for name in query.names}
    pictures = thumbnails(store, [*named.values(), *(hit.id for hit in hits)])
    tiles = [Tile(Path(file).read_bytes(), Path(file).name, "query", accent=True) for file in query.images]
    tiles += [Tile(pictures.get(image), name, "query", accent=True) for name, image in named.items()]
    tiles += [Tile(pictures.get(hit.id), hit.name, _detail(hit.score, hit.label)) for hit in hits]
    shown = f"the first {MOST} of {len(answer.hits)}" if len(answer.hits) > MOST else f"{len(answer.hits)}"
    return grid(tiles, path, title=f"{shown} hits in space {answer.space} for {answer.query}")


def _detail(score: float, label: str | None) -> str:
    return f"{score:.3f}" + (f"  {label}" if label else "")
