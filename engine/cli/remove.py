"""`engine remove`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import counted, emit, json_option, say, store_option


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

    done = remove(Store.open(store), names or [], where=where, duplicates=duplicates)
    if json:
        emit(done._asdict())
        return
    in_run = f" in run {done.run}" if done.run else ""
    print(f"removed {counted(done.images, 'image')} ({counted(done.members, 'member')}){in_run}")
    for space in done.indexes:
        say(
            f"the index of space {space} held them and went with them; build it again, with the options it had: "
            f"engine index --space {space}"
        )
    for space in done.graphs:
        say(f"the graph of space {space} went too; it is built again when it is needed")
