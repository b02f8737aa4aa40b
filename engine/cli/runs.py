"""`engine runs`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import emit_lines, json_option, store_option, table


@click.command
@store_option
@json_option
def command(*, store: Path, json: bool) -> None:
    """List every command that wrote something, oldest first."""
    from engine.info import runs
    from engine.store import Store

    found = runs(Store.open(store))
    if json:
        emit_lines(found)
        return
    rows = []
    for one in found:
        result = one["result"] or {}
        shown = {name: value for name, value in result.items() if isinstance(value, int | str) and name != "seconds"}
        summary = ", ".join(f"{name} {value}" for name, value in shown.items())
        rows.append((one["run"], one["command"], one["state"], one["seconds"], summary))
    table(("run", "command", "state", "seconds", "result"), rows)
