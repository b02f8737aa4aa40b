"""`engine relocate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit


def command(
    old: Annotated[Path, typer.Argument(help="Where a source, or a folder of sources, was.")],
    new: Annotated[Path, typer.Argument(help="Where it is now.")],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Tell the store that sources have moved; a sample of their bytes is compared first."""
    from engine.relocate import relocate
    from engine.store import Store

    moved = [str(path) for path in relocate(Store.open(store), old, new)]
    if json:
        emit({"sources": moved})
    else:
        print(f"{len(moved)} sources are now at {', '.join(moved)}")
