"""What the parameters of every index have in common: they are checked when they are made."""

from __future__ import annotations

from collections.abc import Collection

# More of anything that is counted than an index has any use for.
MOST = 2**24


def require_count(name: str, value: object, *, least: int = 1, most: int = MOST) -> None:
    """Raise `ValueError` unless `value` is a whole number of at least `least` and at most `most`."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {value!r}, must be a whole number of at least {least}")
    if value > most:
        raise ValueError(f"{name} is {value}, must be at most {most}")


def require_one_of(name: str, value: object, choices: Collection[str]) -> None:
    """Raise `ValueError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, must be one of {', '.join(choices)}")
