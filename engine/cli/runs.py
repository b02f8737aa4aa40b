"""`engine runs`."""

from __future__ import annotations

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit_lines, table


def command(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
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
