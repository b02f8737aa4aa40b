"""A run of labels as a picture: of each class an exemplar, the weakest accepted and the strongest rejected images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.drawing.hits import thumbnails
from engine.labeling.label import Labelled, LabelRun, shown
from engine.labeling.label_report import apart
from engine.pictures.grid import Tile, check, grid
from engine.retrieval.search import Hit
from engine.store import Store
from engine.store.vectors import sort_key

CLASSES, ACROSS = 12, 6


def paths(path: Path, runs: Sequence[LabelRun]) -> list[Path]:
    """Return where the picture of each run goes: `path` itself, or with space and threshold in its name for several.

    What a shell would take apart is a hyphen in a name.
    """
    if len(runs) == 1:
        return [path]
    several = len({run.space for run in runs}) > 1
    names = ["-".join([*([run.space.replace(" + ", " and ")] if several else []), _cut(run)]) for run in runs]
    return [path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}{path.suffix}") for name in names]


def draw_labels(store: Store, done: Labelled, path: Path) -> list[Path]:
    """Draw each run into a PNG file; return their paths. Exemplars are not among the images that are judged by eye."""
    check(path)
    return [_draw(store, done, run, place) for run, place in zip(done.runs, paths(path, done.runs), strict=True)]


def _draw(store: Store, done: Labelled, run: LabelRun, path: Path) -> Path:
    classes = run.answer.classes[:CLASSES]
    own = np.isin(sort_key(run.ids), sort_key(done.known.ids))
    tiles = [tile for code in range(len(classes)) for tile in _class(store, done, run, code, own)]
    more = f", the first {CLASSES} of {len(run.answer.classes)} classes" if len(run.answer.classes) > CLASSES else ""
    title = f"{run.labeler} in space {run.space} at {_cut(run)}: weakest accepted, strongest rejected{more}"
    return grid(tiles, path, columns=ACROSS, title=title)


def _cut(run: LabelRun) -> str:
    return f"{run.threshold:.4g}" if run.threshold is not None else f"fpr {run.fpr:g}"


def _class(store: Store, done: Labelled, run: LabelRun, code: int, own: NDArray[np.bool_]) -> Iterator[Tile | None]:
    """Yield two rows of a class: its first exemplar with the accepted ones, below them the rejected ones.

    Where none is accepted the rejected ones are beside the exemplar; where none is rejected there is no second row.
    """
    answer, name = run.answer, run.answer.classes[code]
    first = done.known.ids[(done.known.codes == code) & done.known.polarity][:1]
    accepted = np.flatnonzero((answer.codes == code) & ~own)
    rejected = np.flatnonzero((answer.best == code) & (answer.codes < 0) & ~own)
    accepted = accepted[np.argsort(answer.scores[accepted], kind="stable")][: ACROSS - 1]
    rejected = rejected[np.argsort(-answer.scores[rejected], kind="stable")][: ACROSS - 1]
    examples = shown(store, first, np.ones(len(first)))
    pictures = thumbnails(store, [one.tobytes() for one in (*first, *run.ids[accepted], *run.ids[rejected])])
    head: list[Tile | None] = [_exemplar(one, name, pictures) for one in examples]
    if len(accepted):
        yield from _row(head, run, accepted, store, pictures, "accepted")
        head = [None]
    if len(rejected) or not len(accepted):
        yield from _row(head, run, rejected, store, pictures, "rejected")


def _exemplar(one: Hit, name: str, pictures: Mapping[bytes, bytes]) -> Tile:
    return Tile(pictures.get(one.id), name, f"exemplar {one.name}", accent=True)


def _row(
    head: Sequence[Tile | None],
    run: LabelRun,
    places: NDArray[np.int64],
    store: Store,
    pictures: Mapping[bytes, bytes],
    word: str,
) -> Iterator[Tile | None]:
    tiles: list[Tile | None] = list(head)
    for one in shown(store, run.ids[places], run.answer.scores[places]):
        tiles.append(Tile(pictures.get(one.id), one.name, f"{word} {apart(one.score, run.threshold)}"))
    yield from tiles
    yield from [None] * (ACROSS - len(tiles))
