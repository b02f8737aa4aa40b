"""How an image is named; the one place that resolves a name. Ambiguity is an error, nothing is guessed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from engine.errors import AmbiguousName, BadInput, NoSuchImage
from engine.store.schemas import ID_BYTES
from engine.store.store import Store
from engine.store.table import literal
from engine.store.vectors import identity

MIN_HEX = 8
SHOWN = 5
MAX_ORDINAL = 2**63 - 1
# What the sources of the store that was asked last are called: every answer says it.
_called: dict[tuple[Any, ...], dict[bytes, str]] = {}


def spelled(given: Any) -> str:
    """Return the name that stands for an image as Python holds it: its name, a path, or its id of 32 bytes.

    Raises `BadInput` for anything else: the bytes of an id, one by one, would be 32 names.
    """
    if isinstance(given, str | PathLike):
        return str(given)
    if isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.ndim == 1:
        given = given.tobytes()
    if isinstance(given, bytes) and len(given) == ID_BYTES:
        return f"id:{given.hex()}"
    raise BadInput(f"{given!r} names no image", f"give its name, or its id of {ID_BYTES} bytes: hit.name, hit.id")


def resolve(store: Store, name: str) -> bytes:
    """Return the id of the image that `name` stands for.

    Tried in this order: exact member name; `id:HEX` with at least 8 digits; `@N` or `SOURCE@N`, the ordinal, where
    SOURCE is the end of the source's path from some folder on; the unique file name with or without its extension
    (`3048` for `images/3048.jpeg`).
    Raises `NoSuchImage`, `AmbiguousName` with the candidates, or `BadInput` for a malformed `id:`.
    """
    if not name.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in name):
        raise NoSuchImage(f"the name {name!r} is not UTF-8", "spell it as engine members prints it, or use @N")
    found = _members(store, f"name = {literal(name)}")
    if not found and name.startswith("id:"):
        return _by_hex(store, name)
    return _only(store, name, found or _found(store, name))


def _found(store: Store, name: str) -> list[dict]:
    """Return the members that a name stands for that is none of theirs."""
    return (_by_ordinal(store, name) if "@" in name else []) or _by_stem(store, name)


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
    chosen = {row["digest"] for row in store.sources.few() if not source or _ends(row["path"], source)}
    # Ordinals have an index, sources have none: a condition on both takes longer than what it leaves out.
    return [row for row in _members(store, f"ordinal = {int(digits)}") if row["source"] in chosen] if chosen else []


def _ends(path: str, name: str) -> bool:
    """Say whether a source may be called `name`: its path from some folder on, the last part's extension optional."""
    whole, given = PurePosixPath(path).parts, PurePosixPath(name).parts
    if not given or whole[-len(given) : -1] != given[:-1]:
        return False
    return given[-1] in (whole[-1], whole[-1].split(".", 1)[0])


def source_names(store: Store) -> dict[bytes, str]:
    """Return what each source is called: the shortest end of its path that is no other's."""
    state = (store.path, identity(store.sources))
    if state not in _called:
        _called.clear()
        _called[state] = _named(store)
    return _called[state]


def _named(store: Store) -> dict[bytes, str]:
    paths = {row["digest"]: row["path"] for row in store.sources.few()}
    return {digest: _shortest(path, set(paths.values()) - {path}) for digest, path in paths.items()}


def several_sources(store: Store) -> bool:
    """Say whether a name without its source may be that of several."""
    return len(set(source_names(store).values())) > 1


def _shortest(path: str, others: set[str]) -> str:
    parts = PurePosixPath(path).parts
    ends = ("/".join(parts[-length:]) for length in range(1, len(parts)))
    return next((end for end in ends if not any(_ends(other, end) for other in others)), path)


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
        paths = {row["path"] for row in store.sources.few() if row["digest"] == found[0]["source"]}
        again = " ".join(["engine ingest --restore", *map(shlex.quote, paths or ["SOURCE"])])
        raise NoSuchImage(f"{name!r} was removed in run {found[0]['removed']}", f"bring it back: {again}")
    if found:
        raise NoSuchImage(f"{name!r} was rejected: {found[0]['rejected']}", "list them: engine members --rejected")
    raise NoSuchImage(f"no image is called {name!r}", "list the names: engine members")


def _spell(store: Store, rows: list[dict]) -> Iterable[str]:
    """Yield names that stand for one of the images alone, each with what its member is called."""
    sources = source_names(store)
    for row in rows[:SHOWN]:
        form = f"{sources.get(row['source'])}@{row['ordinal']}"
        # A folder that grew is two sources of one path, and a member may be called like that.
        same = {one["image"] for one in _members(store, f"name = {literal(form)}") or _found(store, form)}
        yield f"{form if same == {row['image']} else 'id:' + row['image'].hex()[:16]} ({row['name']})"
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN} more"
