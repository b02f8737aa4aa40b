"""`engine graph`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import emit, human, json_option, progress, say, space_option, store_option


@click.command
@click.option("-k", type=int, default=15, show_default=True, help="Neighbours of each image.")
@click.option("--exact", is_flag=True, help="Compare all pairs, however long it takes.")
@click.option("--rebuild", is_flag=True, help="Build anew even if nothing changed.")
@space_option
@store_option
@json_option
def command(*, k: int, exact: bool, rebuild: bool, space: str | None, store: Path, json: bool) -> None:
    """Build the graph of each image's nearest neighbours.

    It is kept until vectors come or go; a build that was stopped goes on where it was.
    """
    from engine.neighbors.graph import graph
    from engine.store import Store

    with progress() as drawn:
        found = graph(Store.open(store), space, k=k, exact=exact, rebuild=rebuild, progress=drawn)
    summary = found.summary()
    if json:
        emit(summary)
        return
    kept = found.built
    if kept.k < k:
        say(f"{kept.rows} vectors have {kept.k} neighbours each, fewer than -k {k}")
    recall = "exact" if found.complete else f"{kept.kind}, recall {kept.recall:.3f} measured on {kept.sample} rows"
    print(
        f"graph of space {found.space}: {kept.rows} rows, {kept.k} neighbours, {recall}; "
        f"{f'built in {kept.seconds:.1f} s' if found.new else 'there already'}, {human(summary['bytes'])}"
    )
