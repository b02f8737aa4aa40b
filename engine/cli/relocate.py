"""`engine relocate`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import FILE, emit, json_option, store_option


@click.command
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@store_option
@json_option
def command(*, old: Path, new: Path, store: Path, json: bool) -> None:
    """Tell the store that sources have moved.

    A sample of their bytes is compared first.
    """
    from engine.relocate import relocate
    from engine.store import Store

    moved = [str(path) for path in relocate(Store.open(store), old, new)]
    if json:
        emit({"sources": moved})
    else:
        print(f"now at {', '.join(moved)}")
