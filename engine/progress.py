"""What long work reports while it runs. Verbs call it; the command line draws it on stderr."""

from __future__ import annotations

from collections.abc import Callable
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


def counter(progress: Progress, what: str, unit: str) -> Callable[[int, int], None]:
    """Return what takes how much is done and how much there is, and reports it from its first call on."""
    done: list[int] = []

    def told(now: int, total: int) -> None:
        if not done:
            progress.begin(what, total, unit)
            done.append(0)
        progress.advance(now - done[0])
        done[0] = now

    return told
