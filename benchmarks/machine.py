"""The machine that figures are of: seconds mean nothing without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from engine.encoders.machine import cores, cpu_model


@cache
def machine() -> dict[str, Any]:
    """Return `processor`, its name as the system tells it, and `cores`, as many as this process may use."""
    return {"processor": cpu_model(), "cores": cores()}


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the machines that rows were measured on, as text; older rows do not say."""
    known = (one.get("machine") for one in rows if one["available"])
    names = ("processor not recorded" if one is None else _named(one) for one in known)
    return "; ".join(dict.fromkeys(names))


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['processor']}, {one['cores']} core{'' if one['cores'] == 1 else 's'}"
