"""An embedding-first store and similarity-search engine for piles of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from engine.collection import Collection

__version__ = "0.1.0"


def open(path: str | PathLike[str] = "engine-store") -> Collection:
    """Return the collection stored at `path`; raise `NoStore` if there is none."""
    # Imported here so that `import engine` costs nothing.
    from engine.collection import Collection

    return Collection.open(path)
