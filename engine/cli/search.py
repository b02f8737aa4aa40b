"""`engine search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit, say, table

if TYPE_CHECKING:
    from engine.search import Answer


def command(
    image: Annotated[list[Path] | None, typer.Option("--image", help="A picture file; repeated: their mean.")] = None,
    id: Annotated[list[str] | None, typer.Option("--id", help="A stored image: name, stem, @N or id:HEX.")] = None,
    vector: Annotated[list[Path] | None, typer.Option("--vector", help="A .npy file with a vector.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="How many hits (10 if there is no threshold).")] = None,
    threshold: Annotated[float | None, typer.Option(help="All images with a score of at least this; complete.")] = None,
    space: Annotated[str | None, typer.Option(help="The space to search (default: see engine spaces).")] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition, applied first: \"label = 'bag' AND width > 300\".")
    ] = None,
    exclude_self: Annotated[bool, typer.Option("--exclude-self", help="Leave out the query's own images.")] = False,
    grid: Annotated[Path | None, typer.Option(help="Draw query and hits into this PNG file.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Find the images closest to a picture, a stored image or a vector."""
    from engine.search import Query, search
    from engine.store import Store

    opened = Store.open(store)
    query = Query(image or [], id or [], vector or [])
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
        f"{len(answer.hits)} of {answer.rows} images in space {answer.space} ({answer.fingerprint}), exact"
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
