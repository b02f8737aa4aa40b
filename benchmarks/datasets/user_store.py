"""A store of the user's own, with labels."""

from __future__ import annotations

from benchmarks.datasets.base import OWN_STORE, Found, Place, Unavailable


class UserStore:
    """`--data STORE`: its truth, else its given and human labels; its spaces as they are. Nothing is written to it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, place: Place) -> Found:
        """Return the store that was named."""
        from benchmarks.datasets import is_store

        if not is_store(place.data):
            raise Unavailable(f"{place.data} is no store", "name one: --data STORE")
        name = f"{OWN_STORE}{place.data.resolve().name}"
        return Found(name, place.data.name, pixels="as stored", store=place.data)
