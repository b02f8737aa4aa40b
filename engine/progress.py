"""What long work reports while it runs. Verbs call it; the command line draws it on stderr."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Who is told how far long work has come."""

    def begin(self, what: str, total: int | None, unit: str = "images") -> None:
        """Say what begins, and how many images (or other units) it has if that is known."""
        ...

    def advance(self, images: int, rejected: int = 0) -> None: ...

    def stand(self, text: str) -> None:
        """Say how it stands, beside how far it is: a loss."""
        ...

    def note(self, text: str) -> None:
        """Say something the user should read once."""
        ...


class Silent:
    """Reports nothing."""

    def begin(self, what: str, total: int | None, unit: str = "images") -> None:
        return

    def advance(self, images: int, rejected: int = 0) -> None:
        return

    def stand(self, text: str) -> None:
        return

    def note(self, text: str) -> None:
        return
