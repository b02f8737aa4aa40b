"""The names of classes: what can be one, and that each is written in one way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from engine.errors import BadInput
from engine.labeling.labels import class_names
from engine.store import Store

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


def check_spelling(store: Store, names: Iterable[str]) -> None:
    """Raise `BadInput` for a class that is among `names`, or in the store, in another spelling."""
    known = set(class_names(store))
    spelled = {folded(name): name for name in sorted(known)}
    for name in names:
        first = spelled.setdefault(folded(name), name)
        if first != name and name not in known:
            raise BadInput(
                f"the classes {first!r} and {name!r} differ in nothing but case",
                "spell them alike, or give them different names",
            )


def folded(name: str) -> str:
    """Return what names have in common that look alike but for case."""
    return unicodedata.normalize("NFC", name).casefold()
