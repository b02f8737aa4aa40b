"""`engine export`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import FILE, emit, json_option, space_option, store_option


@click.command
@click.option("--output", type=FILE, required=True, help="The file to write.")
@click.option("--format", "form", help="npy (with a CSV of ids and names beside it) or parquet.")
@space_option
@store_option
@json_option
def command(*, output: Path, form: str | None, space: str | None, store: Path, json: bool) -> None:
    """Write the vectors of a space with ids and names."""
    from engine.export import export
    from engine.store import Store

    done = export(Store.open(store), output, space=space, form=form)
    paths = [str(path) for path in done.paths]
    if json:
        emit({"space": done.space, "rows": done.rows, "dim": done.dim, "paths": paths})
    else:
        print(f"{done.rows} vectors of space {done.space} ({done.dim}-d) in {' and '.join(paths)}")
