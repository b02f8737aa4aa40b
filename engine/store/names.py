"""How an image is named; the one place that resolves a name. Ambiguity is an error, nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from engine.errors import AmbiguousName, BadInput, NoSuchImage
from engine.store.store import Store
from engine.store.table import in_list, literal

MIN_HEX = 8
SHOWN = 5
MAX_ORDINAL = 2**63 - 1


def resolve(store: Store, name: str) -> bytes:
    """Return the id of the image that `name` stands for.

    Tried in this order: exact member name; `id:HEX` with at least 8 digits; `@N` or `SOURCE@N`, the ordinal; the
    unique file name with or without its extension (`3048` for `images/3048.jpeg`).
    Raises `NoSuchImage`, `AmbiguousName` with the candidates, or `BadInput` for a malformed `id:`.
    """
    if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name):
        raise NoSuchImage(f"the name {name!r} is not UTF-8", "spell it as engine members prints it, or use @N")
    found = _members(store, f"name = {literal(name)}")
    if not found and name.startswith("id:"):
        return _by_hex(store, name)
    if not found and "@" in name:
        found = _by_ordinal(store, name)
    if not found:
        found = _by_stem(store, name)
    return _only(store, name, found)


def _members(store: Store, where: str) -> list[dict]:
    return store.members.rows(["source", "ordinal", "name", "image", "rejected", "removed"], where)


def _by_hex(store: Store, name: str) -> bytes:
    digits = name.removeprefix("id:").lower()
    if len(digits) < MIN_HEX or len(digits) > 64 or set(digits) - set("0123456789abcdef"):
        raise BadInput(f"{name!r} is not id: and {MIN_HEX} to 64 hexadecimal digits", "see: engine members --json")
    first, last = bytes.fromhex(digits.ljust(64, "0")), bytes.fromhex(digits.ljust(64, "f"))
    rows = store.images.rows(["id"], f"id >= {literal(first)} AND id <= {literal(last)}")
    if not rows:
        raise NoSuchImage(f"no image has an id that begins with {digits}", "list them: engine members")
    if len(rows) > 1:
        raise AmbiguousName(f"{len(rows)} ids begin with {digits}", "give more digits")
    return rows[0]["id"]


def _by_ordinal(store: Store, name: str) -> list[dict]:
    source, _, digits = name.rpartition("@")
    if not digits.isdecimal() or int(digits) > MAX_ORDINAL:
        return []
    chosen = [row for row in store.sources.rows(["digest", "path"]) if not source or source in _names(row["path"])]
    if not chosen:
        return []
    return _members(store, f"ordinal = {int(digits)} AND {in_list('source', [row['digest'] for row in chosen])}")


def _names(path: str) -> set[str]:
    """Return what a source may be called: its path, file name, or file name without extension."""
    return {path, Path(path).name, Path(path).name.split(".", 1)[0]}


def _by_stem(store: Store, name: str) -> list[dict]:
    # LIKE narrows the scan down; `_` and `%` in the name only let more through, the comparison below decides.
    pattern = name.replace("\\", "\\\\")
    where = " OR ".join(f"name LIKE {literal(form)}" for form in (f"%/{pattern}.%", f"{pattern}.%", f"%/{pattern}"))
    return [
        row
        for row in _members(store, where)
        if name in (PurePosixPath(row["name"]).stem, PurePosixPath(row["name"]).name)
    ]


def _only(store: Store, name: str, found: list[dict]) -> bytes:
    alive = [row for row in found if row["image"] and not row["removed"]]
    if len({row["image"] for row in alive}) == 1:
        return alive[0]["image"]
    if alive:
        raise AmbiguousName(
            f"{name!r} names {len(alive)} images: {', '.join(_spell(store, alive))}", "name one of these"
        )
    if found and found[0]["removed"]:
        raise NoSuchImage(
            f"{name!r} was removed in run {found[0]['removed']}", "bring it back: engine ingest --restore"
        )
    if found:
        raise NoSuchImage(f"{name!r} was rejected: {found[0]['rejected']}", "list them: engine members --rejected")
    raise NoSuchImage(f"no image is called {name!r}", "list the names: engine members")


def _spell(store: Store, rows: list[dict]) -> Iterable[str]:
    paths = {row["digest"]: Path(row["path"]).name for row in store.sources.rows(["digest", "path"])}
    for row in rows[:SHOWN]:
        yield f"{paths[row['source']]}@{row['ordinal']} ({row['name']})"
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN} more"
