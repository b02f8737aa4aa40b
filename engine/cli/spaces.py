"""`engine spaces`."""

from __future__ import annotations

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit_lines, table


def command(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
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
