"""Every error a user can cause: what happened, with the values, and the command that helps."""

from __future__ import annotations


class EngineError(Exception):
    """One line for the user. `remedy` is what to type or do next; the command line exits with `exit_code`."""

    exit_code = 2

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    @property
    def kind(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class BadInput(EngineError):
    """An argument or a file the user named cannot be used."""


class NoStore(EngineError):
    """There is no store at the path."""


class StoreDamaged(EngineError):
    """A table cannot be opened or breaks its contract."""


class StoreBusy(EngineError):
    """Another process holds the lock that this command needs."""


class DiskFull(EngineError):
    """The disk under the store is full; what was committed before is intact."""


class SourceError(EngineError):
    """A source cannot be opened at all."""


class SourceCut(EngineError):
    """A source ends before its own end mark; the members yielded before are good."""


class NoSuchImage(EngineError):
    """A name resolves to no image."""


class AmbiguousName(EngineError):
    """A name resolves to several images; the message lists them."""


class EmptySpace(EngineError):
    """The space holds no vectors, or does not exist."""


class EncoderUnavailable(EngineError):
    """The encoder's weights or packages are not on this machine."""


class FingerprintMismatch(EngineError):
    """Vectors of two different encoders would meet in one space; both are named."""


class Interrupted(EngineError):
    """Ctrl-C or SIGTERM; what was done until then is stored."""

    exit_code = 130
