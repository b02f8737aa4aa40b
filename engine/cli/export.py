"""`engine export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit


def command(
    output: Annotated[Path, typer.Option(help="The file to write.")],
    space: Annotated[str | None, typer.Option(help="The space (default: see engine spaces).")] = None,
    form: Annotated[
        str, typer.Option("--format", help="npy (with a CSV of ids and names beside it) or parquet.")
    ] = "npy",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Write the vectors of a space with ids and names."""
    from engine.export import export
    from engine.store import Store

    done = export(Store.open(store), output, space=space, form=form)
    paths = [str(path) for path in done.paths]
    if json:
        emit({"space": done.space, "rows": done.rows, "dim": done.dim, "paths": paths})
    else:
        print(f"{done.rows} vectors of space {done.space} ({done.dim}-d) in {' and '.join(paths)}")
