"""`engine compact`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import emit, human, json_option, store_option


@click.command
@store_option
@json_option
def command(*, store: Path, json: bool) -> None:
    """Merge small fragments and drop old versions."""
    from engine.compact import compact, sizes
    from engine.store import Store

    opened = Store.open(store)
    before = sum(size.bytes for size in sizes(opened))
    compact(opened)
    after = sum(size.bytes for size in sizes(opened))
    if json:
        emit({"bytes_before": before, "bytes": after})
    else:
        print(f"{human(before)} before, {human(after)} now")
