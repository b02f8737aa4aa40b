"""The Python API: a store and its verbs under one name. It says what the command line says."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.store import Store

if TYPE_CHECKING:
    from engine.export import Exported
    from engine.search import Answer
    from engine.verify import Verdict

Names = str | PathLike[str] | Sequence[str | PathLike[str]]


class Collection:
    """A collection of images: `engine.open(PATH)`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def open(cls, path: str | PathLike[str]) -> Collection:
        """Return the collection at `path`; raise `NoStore` if there is none."""
        return cls(Store.open(path))

    def search(
        self,
        *,
        image: Names = (),
        id: Names = (),
        vector: Names = (),
        space: str | None = None,
        k: int | None = None,
        threshold: float | None = None,
        where: str | None = None,
        exclude_self: bool = False,
    ) -> Answer:
        """Return the `k` closest images (10 by default), or all with `score >= threshold`, best first.

        `image` are picture files, `id` names of stored images, `vector` .npy files; several are averaged.
        Raises a subclass of `engine.errors.EngineError`.
        """
        from engine.query import Query
        from engine.search import search

        query = Query(_listed(image), [str(name) for name in _listed(id)], _listed(vector))
        return search(self.store, query, space=space, k=k, threshold=threshold, where=where, exclude_self=exclude_self)

    def info(self) -> dict[str, Any]:
        """Return what the store holds: the keys of `engine info --json`."""
        from engine.info import info

        return info(self.store)

    def verify(self, *, read_bytes: bool = False) -> Verdict:
        """Check that nothing is lost and nothing is twice."""
        from engine.verify import verify

        return verify(self.store, read_bytes=read_bytes)

    def export(self, output: str | PathLike[str], *, space: str | None = None, form: str | None = None) -> Exported:
        """Write the vectors of a space with ids and names."""
        from engine.export import export

        return export(self.store, Path(output), space=space, form=form)

    # Only the store knows LanceDB's types.
    def database(self) -> Any:
        """Return the store as the LanceDB database that it is; write to it only through this package."""
        return self.store.database()


def _listed(names: Names) -> list[str | PathLike[str]]:
    return [names] if isinstance(names, str | PathLike) else list(names)
