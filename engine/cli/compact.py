"""`engine compact`."""

from __future__ import annotations

from engine.cli.output import DEFAULT_STORE, JsonOption, StoreOption, emit, human


def command(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Merge small fragments, drop old versions and what killed writers left."""
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
