"""Answers as pictures, from the thumbnails: the sources need not be there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.dedupe import Deduped, Group
from engine.pictures.grid import Tile, grid
from engine.query import Query
from engine.search import Answer
from engine.store import Store
from engine.store.names import resolve
from engine.store.table import in_list

MOST = 60
GROUPS, ACROSS = 12, 8


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


def draw_groups(store: Store, found: Deduped, path: Path) -> Path:
    """Draw the first 12 groups into a PNG file, a row each: the image to keep, then at most 7 others with scores."""
    groups = found.groups[:GROUPS]
    pictures = thumbnails(store, [one.id for group in groups for one in group.pictures[:ACROSS]])
    columns = max([min(ACROSS, len(group.pictures)) for group in groups], default=1)
    tiles = [tile for group in groups for tile in _row(group, pictures, columns)]
    shown = f"the first {GROUPS} of {len(found.groups)}" if len(found.groups) > GROUPS else f"{len(found.groups)}"
    title = f"{shown} groups in space {found.space}, every pair at least {found.threshold:g}"
    return grid(tiles, path, columns=columns, title=title)


def _row(group: Group, pictures: dict[bytes, bytes], columns: int) -> Iterator[Tile | None]:
    more = len(group.pictures) - columns
    for place, (one, score) in enumerate(zip(group.pictures[:columns], group.scores, strict=False)):
        last = f"  and {more} more" if more > 0 and place == columns - 1 else ""
        detail = "kept" if place == 0 else f"{score:.3f}{last}"
        yield Tile(pictures.get(one.id), one.name, detail, accent=place == 0)
    yield from [None] * -more
