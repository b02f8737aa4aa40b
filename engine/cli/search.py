"""`engine search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.output import FILE, counted, emit, json_option, say, space_option, store_option, table

if TYPE_CHECKING:
    from engine.search import Answer


@click.command
@click.option("--image", type=FILE, multiple=True, help="A picture file; repeated: their mean.")
@click.option("--id", multiple=True, help="A stored image: name, stem, @N or id:HEX.")
@click.option("--vector", type=FILE, multiple=True, help="A .npy file with a vector.")
@click.option("-k", type=int, help="How many hits (10 if there is no threshold).")
@click.option("--threshold", type=float, help="All images with a score of at least this; complete.")
@click.option("--where", help="SQL condition, applied first: \"label = 'bag' AND width > 300\".")
@click.option("--exclude-self", is_flag=True, help="Leave out the query's own images.")
@click.option("--grid", type=FILE, help="Draw query and hits into this PNG file.")
@space_option
@store_option
@json_option
def command(
    *,
    image: tuple[Path, ...],
    id: tuple[str, ...],
    vector: tuple[Path, ...],
    k: int | None,
    threshold: float | None,
    where: str | None,
    exclude_self: bool,
    grid: Path | None,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Find the images closest to a picture, a name or a vector."""
    from engine.query import Query
    from engine.search import search
    from engine.store import Store

    opened = Store.open(store)
    query = Query(image, id, vector)
    answer = search(opened, query, space=space, k=k, threshold=threshold, where=where, exclude_self=exclude_self)
    if grid is not None:
        from engine.draw import draw_answer

        draw_answer(opened, query, answer, grid)
        say(f"drawn: {grid}")
    if json:
        emit(document(answer))
        return
    rows = [(place, hit.score, hit.name, hit.label) for place, hit in enumerate(answer.hits, 1)]
    table(("rank", "score", "name", "label"), rows)
    say(
        f"{len(answer.hits)} of {counted(answer.rows, 'image')} in space {answer.space} ({answer.fingerprint}), exact"
        + ("" if answer.complete else "; more qualify than -k lets through")
    )


def document(answer: Answer) -> dict:
    """Return an answer as `--json` prints it."""
    hits = [
        {
            "id": hit.id.hex(),
            "name": hit.name,
            "ordinal": hit.ordinal,
            "score": hit.score,
            "fpr": None,
            "label": hit.label,
        }
        for hit in answer.hits
    ]
    return {
        "query": answer.query,
        "space": answer.space,
        "fingerprint": answer.fingerprint,
        "complete": answer.complete,
        "index": answer.index,
        "hits": hits,
        "store_version": answer.store_version,
    }
