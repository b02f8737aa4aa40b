"""`engine info`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import counted, emit, human, json_option, store_option, table


@click.command
@store_option
@json_option
def command(*, store: Path, json: bool) -> None:
    """Show what the store holds and what it takes on the disk."""
    from engine.info import info
    from engine.store import Store

    found = info(Store.open(store))
    if json:
        emit(found)
        return
    places = f"{counted(found['members'], 'member')} of {counted(found['sources'], 'source')}"
    rest = f"{counted(found['duplicates'], 'duplicate')}, {found['rejected']} rejected, {found['removed']} removed"
    print(f"{counted(found['images'], 'image')} from {places} ({rest})")
    for name, space in found["spaces"].items():
        default = " (default)" if space["default"] else ""
        print(
            f"space {name}{default}: {space['rows']} vectors, {space['dim']}-d, "
            f"{space['encoder']}, {space['fingerprint']}"
        )
    for one in found["indexes"]:
        recalls = ", ".join(f"recall@{depth} {value:.3f}" for depth, value in one["recall"].items())
        print(f"index {one['space']}: {one['kind']}, {counted(one['rows'], 'row')}, {recalls}")
    for one in found["graphs"]:
        recall = "" if one["kind"] == "exact" else f", recall {one['recall'][str(one['k'])]:.3f}"
        state = "" if one["fresh"] else "; stale: built anew when it is needed"
        print(f"graph of {one['space']}: {one['rows']} rows, {one['k']} neighbours, {one['kind']}{recall}{state}")
    for source, number in found["labels"].items():
        print(f"labels {source}: {number}")
    rows = [
        (name, one["rows"], human(one["bytes"]), one["fragments"], one["versions"])
        for name, one in found["tables"].items()
    ]
    table(("table", "rows", "size", "fragments", "versions"), rows)
    print(f"{human(found['bytes'])} in tables, {human(found['cache_bytes'])} in the cache")
