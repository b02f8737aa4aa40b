"""`engine export`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import FILE, emit, json_option, progress, say, space_option, store_option
from engine.errors import BadInput

ATLAS = "embedding-atlas"


@click.command
@click.option("--output", type=FILE, required=True, help="The file to write.")
@click.option(
    "--format",
    "form",
    help="npy (with a CSV of ids and names beside it), parquet, or embedding-atlas (a map, Parquet).",
)
@click.option("--method", help="Of the map: umap (default), tsne or pca.")
@space_option
@store_option
@json_option
def command(*, output: Path, form: str | None, method: str | None, space: str | None, store: Path, json: bool) -> None:
    """Write the vectors of a space with ids and names, or its map with neighbours and thumbnails."""
    if form == ATLAS:
        _atlas(output, method or "umap", space, store, json)
        return
    if method is not None:
        raise BadInput("--method is that of a map", f"add --format {ATLAS}")
    from engine.export import export
    from engine.store import Store

    done = export(Store.open(store), output, space=space, form=form)
    paths = [str(path) for path in done.paths]
    if json:
        emit({"space": done.space, "rows": done.rows, "dim": done.dim, "paths": paths})
    else:
        print(f"{done.rows} vectors of space {done.space} ({done.dim}-d) in {' and '.join(paths)}")


def _atlas(output: Path, method: str, space: str | None, store: Path, json: bool) -> None:
    from engine.drawing.atlas import export_atlas
    from engine.store import Store

    with progress() as told:
        done = export_atlas(Store.open(store), output, method=method, space=space, progress=told)
    one = done.map
    if json:
        paths = [str(done.path)]
        emit(
            {"space": one.space, "rows": len(one), "dim": 2, "paths": paths, "run": one.run, "labelled": done.labelled}
        )
        return
    print(f"{len(one)} images of space {one.space}, {done.labelled} of them labelled, by {one.method} in {done.path}")
    say(f"look at them: {done.command}")
