"""`engine members`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import emit_lines, json_option, store_option, table


@click.command
@click.option("--rejected", is_flag=True, help="Only what was rejected, with the reason.")
@click.option("--removed", is_flag=True, help="Only what was removed.")
@click.option("--limit", type=click.IntRange(min=0), help="At most this many.")
@store_option
@json_option
def command(*, rejected: bool, removed: bool, limit: int | None, store: Path, json: bool) -> None:
    """List the ledger: every member, and what became of it."""
    from itertools import islice

    from engine.members import members
    from engine.store import Store

    found = islice(members(Store.open(store), rejected=rejected, removed=removed), limit)
    if json:
        emit_lines(found)
        return
    table(
        ("source", "ordinal", "name", "id", "state"),
        ((one["source"], one["ordinal"], one["name"], (one["id"] or "")[:12] or None, state(one)) for one in found),
    )


def state(member: dict) -> str:
    """Return in a few words what became of a member."""
    if member["removed"]:
        return f"removed in {member['removed']}"
    return f"rejected: {member['rejected']}" if member["rejected"] else "stored"
