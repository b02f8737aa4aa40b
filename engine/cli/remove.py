"""`engine remove`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import counted, emit, json_option, store_option


@click.command
@click.argument("names", nargs=-1, metavar="[IMAGE]...")
@click.option("--where", help="SQL condition: every image that meets it.")
@click.option("--run", "duplicates", help="A run of dedupe: all of its groups but the images it keeps.")
@store_option
@json_option
def command(*, names: tuple[str, ...], where: str | None, duplicates: str | None, store: Path, json: bool) -> None:
    """Remove images from every table and cache.

    The ledger keeps their members as removed.
    """
    from engine.remove import remove
    from engine.store import Store

    run, images, members = remove(Store.open(store), names or [], where=where, duplicates=duplicates)
    if json:
        emit({"run": run, "images": images, "members": members})
    else:
        print(f"removed {counted(images, 'image')} ({counted(members, 'member')})" + (f" in run {run}" if run else ""))
