"""Answers as pictures, from the thumbnails: the sources need not be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from engine.members import first_names
from engine.neighbors.dedupe import Deduped, Group
from engine.pictures.grid import Tile, grid
from engine.retrieval.query import Part, Query, resolved
from engine.retrieval.search import Answer, Hit
from engine.store import Store
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
    parts = resolved(store, query)
    pictures = thumbnails(store, [*(part.id for part in parts if part.id), *(hit.id for hit in hits)])
    tiles = [_asked(part, pictures) for part in parts]
    tiles += [Tile(pictures.get(hit.id), hit.name, _detail(hit)) for hit in hits]
    shown = f"the first {MOST} of {len(answer.hits)}" if len(answer.hits) > MOST else f"{len(answer.hits)}"
    return grid(tiles, path, title=f"{shown} hits in space {answer.space} for {answer.query}")


def draw_beside(store: Store, query: Query, answers: Sequence[Answer], path: Path) -> Path:
    """Draw the answers of several spaces to one query into a PNG file: a row each, the query first and only there."""
    parts = resolved(store, query)
    first = parts[0]
    found = [[hit for hit in answer.hits if hit.id != first.id][:ACROSS] for answer in answers]
    pictures = thumbnails(store, [*(part.id for part in parts if part.id), *(hit.id for hits in found for hit in hits)])
    columns = max(len(hits) for hits in found) + 1
    name = first_names(store, [first.id]).get(first.id, first.name) if first.id else first.name
    tiles: list[Tile | None] = []
    for answer, hits in zip(answers, found, strict=True):
        row = [replace(_asked(first, pictures), caption=answer.space, detail=name)]
        row += [Tile(pictures.get(hit.id), hit.name, _detail(hit)) for hit in hits]
        tiles += [*row, *[None] * (columns - len(row))]
    asked = name if len(parts) == 1 else answers[0].query
    return grid(tiles, path, columns=columns, title=f"{asked} in {len(answers)} spaces")


def _asked(part: Part, pictures: Mapping[bytes, bytes]) -> Tile:
    detail = "unlike" if not part.wanted else "like" if part.example else "query"
    if isinstance(part.picture, str | PathLike):
        return Tile(Path(part.picture).read_bytes(), part.name, detail, accent=True)
    if isinstance(part.picture, np.ndarray):
        from PIL import Image

        return Tile(Image.fromarray(part.picture), part.name, detail, accent=True)
    return Tile(pictures.get(part.id) if part.id else part.picture, part.name, detail, accent=True)


def _detail(hit: Hit) -> str:
    return "  ".join(filter(None, [f"{hit.score:.3f}", hit.label, f"fpr {hit.fpr:.2g}"]))


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
