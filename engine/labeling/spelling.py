"""That each class is written in one way."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from engine.errors import BadInput
from engine.labeling.labels import class_names
from engine.store import Store


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
