"""`engine search`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.hits import document, show, show_many, show_written
from engine.cli.output import FILE, emit, emit_lines, json_option, progress, say, store_option
from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.retrieval.batch import Queries
    from engine.retrieval.query import Query
    from engine.store import Store


@click.command
@click.option("--image", type=FILE, multiple=True, help="A picture file; repeated: their mean.")
@click.option("--id", multiple=True, help="A stored image: name, stem, @N or id:HEX.")
@click.option("--vector", type=FILE, multiple=True, help="A .npy file with a vector.")
@click.option("--like", multiple=True, help="An example, by name or picture file; is no answer itself.")
@click.option("--unlike", multiple=True, help="An example of what to keep away from.")
@click.option("--images", type=FILE, help="Many queries: the pictures of a folder, tar, zip …")
@click.option("--vectors", type=FILE, help="Many queries: the rows of a .npy file.")
@click.option("--ids", type=FILE, help="Many queries: a text file with a name on each line.")
@click.option("--all", is_flag=True, help="Many queries: every stored image.")
@click.option("-k", type=int, help="How many hits (10 if there is no threshold).")
@click.option("--threshold", type=float, help="All images with a score of at least this; complete.")
@click.option("--fpr", type=float, help="All with a score that at most this share of random pairs reaches.")
@click.option("--where", help="SQL condition, applied first: \"label = 'bag' AND width > 300\".")
@click.option("--exclude-self", is_flag=True, help="Leave out the query's own images.")
@click.option("--exact", is_flag=True, help="Compare every row, even where the space has an index.")
@click.option("--grid", type=FILE, help="Draw query and hits into this PNG file.")
@click.option("--beside", multiple=True, help="With --grid, repeated: draw the hits of this space in a row below.")
@click.option("--output", type=FILE, help="Write the hits into this .parquet, .csv or .jsonl file.")
@click.option("--space", help="The space (default: see engine spaces), or several: clip=0.7,resnet=0.3.")
@store_option
@json_option
def command(
    *,
    image: tuple[Path, ...],
    id: tuple[str, ...],
    vector: tuple[Path, ...],
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    images: Path | None,
    vectors: Path | None,
    ids: Path | None,
    all: bool,
    k: int | None,
    threshold: float | None,
    fpr: float | None,
    where: str | None,
    exclude_self: bool,
    exact: bool,
    grid: Path | None,
    beside: tuple[str, ...],
    output: Path | None,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Find the images closest to a picture, a name or a vector, or to many of them in one go."""
    from engine.retrieval.query import Query
    from engine.store import Store

    query = Query(image, id, vector, like, unlike)
    many = images is not None or vectors is not None or ids is not None or all
    if many and (image or id or vector or like or unlike):
        raise BadInput(f"many queries at once, and one: {query}", "leave out --image, --id, --vector, --like, --unlike")
    if grid is not None and (many or output is not None):
        raise BadInput(f"--grid {grid} draws one printed answer", "leave out --grid")
    if beside and grid is None:
        raise BadInput(f"--beside {beside[0]} is drawn, and there is no picture", "--grid FILE.png")
    opened = Store.open(store)
    asked = {"k": k, "threshold": threshold, "fpr": fpr, "where": where, "exclude_self": exclude_self, "exact": exact}
    if not many and output is None:
        _one(opened, query, (space, *beside), asked, grid=grid, json=json)
    else:
        from engine.retrieval.batch import Queries

        queries = Queries(images, vectors, ids, all) if many else query
        _many(opened, queries, {"space": space, **asked}, output=output, json=json)


def _one(
    store: Store,
    query: Query,
    spaces: tuple[str | None, ...],
    asked: Mapping[str, Any],
    *,
    grid: Path | None,
    json: bool,
) -> None:
    """Print the answer in the first space; draw those in all of them."""
    from engine.retrieval.search import search
    from engine.store.names import several_sources

    answers = [search(store, query, space=space, **asked) for space in spaces]
    if grid is not None:
        from engine.drawing.hits import draw_answer, draw_beside

        if len(answers) > 1:
            draw_beside(store, query, answers, grid)
        else:
            draw_answer(store, query, answers[0], grid)
        say(f"drawn: {grid}")
    emit(document(answers[0])) if json else show(answers[0], several=several_sources(store))


def _many(store: Store, queries: Queries | Query, asked: Mapping[str, Any], *, output: Path | None, json: bool) -> None:
    """Print the answers or write them into a file; exit with 1 if something was no query."""
    from engine.retrieval.batch import batch
    from engine.store.names import several_sources

    with progress() as drawn:
        made = batch(store, queries, output=output, progress=drawn, **asked)
        if output is not None:
            show_written(made.write(output), json=json)
        elif json:
            emit_lines(map(document, made.answers()))
        else:
            show_many(made.answers(), several=several_sources(store))
    raise click.exceptions.Exit(1 if made.problems else 0)
