"""The machine that figures are of: seconds mean nothing without it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any


@cache
def machine() -> dict[str, Any]:
    """Return `processor`, its name as the system tells it, and `cores`, as many as this process may use."""
    return {"processor": _processor(), "cores": _cores()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        # Not Linux.
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the machines that rows were measured on, as text; older rows do not say."""
    known = (one.get("machine") for one in rows if one["available"])
    names = ("processor not recorded" if one is None else _named(one) for one in known)
    return "; ".join(dict.fromkeys(names))


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['processor']}, {one['cores']} core{'' if one['cores'] == 1 else 's'}"
