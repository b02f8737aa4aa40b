"""`engine members`."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit, table


def command(
    rejected: Annotated[bool, typer.Option("--rejected", help="Only what was rejected, with the reason.")] = False,
    removed: Annotated[bool, typer.Option("--removed", help="Only what was removed.")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="At most this many.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the ledger: every member of every source, and what became of it."""
    from itertools import islice

    from engine.members import members
    from engine.store import Store

    found = islice(members(Store.open(store), rejected=rejected, removed=removed), limit)
    if json:
        for one in found:
            emit(one)
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
