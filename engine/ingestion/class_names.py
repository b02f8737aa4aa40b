"""What can be the name of a class."""

from __future__ import annotations

import unicodedata

from engine.errors import BadInput

LONGEST = 200
# Control characters, halves of characters, and what ends a line or a paragraph: a table or a file would break on them.
BREAKING = ("Cc", "Cs", "Zl", "Zp")


def checked_name(text: str, *, what: str, remedy: str) -> str:
    """Return the name of a class without spaces around it; raise `BadInput` for what can be none."""
    name = text.strip()
    if not name:
        raise BadInput(f"{what} has no name", remedy)
    if len(name) > LONGEST:
        raise BadInput(f"{what} has {len(name)} characters: {name[:20]!r}…", f"give it a name of at most {LONGEST}")
    if any(unicodedata.category(letter) in BREAKING for letter in name):
        raise BadInput(f"{what}, {name!a}, has a line break or control character", "give it a name on one line")
    return name


def class_name(text: str) -> str | None:
    """Return the name of a class without spaces around it, None for what can be none."""
    try:
        return checked_name(text, what="the class", remedy="write it")
    except BadInput:
        return None
