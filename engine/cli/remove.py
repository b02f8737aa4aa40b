"""`engine remove`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Images: name, stem, @N, SOURCE@N or id:HEX.")] = None,
    where: Annotated[str | None, typer.Option(help="SQL condition: every image that meets it.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Remove images from every table and cache; the ledger keeps their members as removed."""
    from engine.remove import remove
    from engine.store import Store

    run, images, members = remove(Store.open(store), names or [], where=where)
    if json:
        emit({"run": run, "images": images, "members": members})
    else:
        print(f"removed {images} images ({members} members)" + (f" in run {run}" if run else ""))
