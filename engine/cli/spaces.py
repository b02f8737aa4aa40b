"""`engine spaces`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import emit_lines, json_option, store_option, table


@click.command
@store_option
@json_option
def command(*, store: Path, json: bool) -> None:
    """List the spaces with encoder, fingerprint and coverage."""
    from engine.info import spaces
    from engine.store import Store

    found = spaces(Store.open(store))
    if json:
        emit_lines(found)
        return
    table(
        ("space", "encoder", "fingerprint", "dim", "vectors", "coverage", "default"),
        [
            (
                one["space"],
                one["encoder"],
                one["fingerprint"],
                one["dim"],
                one["rows"],
                None if one["coverage"] is None else f"{one['coverage']:.1%}",
                "yes" if one["default"] else "",
            )
            for one in found
        ],
    )
