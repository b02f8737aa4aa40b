"""`engine map`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import FILE, emit, human, json_option, progress, say, space_option, store_option


@click.command
@click.option("--method", default="umap", show_default=True, help="umap, tsne or pca.")
@click.option("--sample", type=int, help="Lay out this many images, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--color", help="label, truth, cluster:RUN, score:RUN, error:RUN (default: label if any).")
@click.option("--truth", type=FILE, help="CSV image,label in place of the store's truth.")
@click.option("--png", type=FILE, help="Draw it into this PNG file.")
@click.option("--html", type=FILE, help="Write it as one page that works without a network.")
@click.option("--recompute", is_flag=True, help="Compute the coordinates even if they are there.")
@space_option
@store_option
@json_option
def command(
    *,
    method: str,
    sample: int | None,
    seed: int,
    color: str | None,
    truth: Path | None,
    png: Path | None,
    html: Path | None,
    recompute: bool,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Lay the images of a space out in two dimensions, and draw them.

    Coordinates are kept: the next picture of the same map takes no time.
    """
    from engine.drawing.maps import draw
    from engine.store import Store

    with progress() as told:
        done = draw(
            Store.open(store), method=method, space=space, sample=sample, seed=seed, recompute=recompute, by=color,
            truth=truth, picture=png, page=html, progress=told,
        )  # fmt: skip
    if json:
        emit(done.document())
        return
    one = done.drawing.map
    print(f"{done.drawing.title}: {done.drawing.note}")
    print(f"coordinates {'kept in' if one.reused else 'computed in'} run {one.run}, {one.seconds:.1f} s")
    if png is not None:
        say(f"drawn: {png}")
    if html is not None:
        say(f"written: {html}, {human(done.bytes or 0)}")
