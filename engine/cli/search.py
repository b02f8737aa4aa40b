"""`engine search`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.hits import document, show, show_many, show_written
from engine.cli.output import FILE, emit, emit_lines, json_option, progress, say, store_option
from engine.errors import BadInput


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
    from engine.store.names import several_sources

    opened, query = Store.open(store), Query(image, id, vector, like, unlike)
    many = images is not None or vectors is not None or ids is not None or all
    if many and (image or id or vector or like or unlike):
        raise BadInput(f"many queries at once, and one: {query}", "leave out --image, --id, --vector, --like, --unlike")
    if grid is not None and (many or output is not None):
        raise BadInput(f"--grid {grid} draws one printed answer", "leave out --grid")
    if beside and grid is None:
        raise BadInput(f"--beside {beside[0]} is drawn, and there is no picture", "--grid FILE.png")
    if not many and output is None:
        from engine.retrieval.search import search

        answer, *others = (
            search(
                opened, query, space=one, k=k, threshold=threshold, fpr=fpr, where=where, exclude_self=exclude_self,
                exact=exact,
            )
            for one in (space, *beside)
        )  # fmt: skip
        if grid is not None:
            from engine.drawing.hits import draw_answer, draw_beside

            draw_beside(opened, query, [answer, *others], grid) if others else draw_answer(opened, query, answer, grid)
            say(f"drawn: {grid}")
        emit(document(answer)) if json else show(answer, several=several_sources(opened))
        return
    from engine.retrieval.batch import Queries, batch

    asked = Queries(images, vectors, ids, all) if many else query
    with progress() as drawn:
        made = batch(
            opened, asked, space=space, k=k, threshold=threshold, fpr=fpr, where=where, exclude_self=exclude_self,
            exact=exact, output=output, progress=drawn,
        )  # fmt: skip
        if output is not None:
            show_written(made.write(output), json=json)
        elif json:
            emit_lines(map(document, made.answers()))
        else:
            show_many(made.answers(), several=several_sources(opened))
    raise click.exceptions.Exit(1 if made.problems else 0)
