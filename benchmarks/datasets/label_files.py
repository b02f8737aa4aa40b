"""The labels of a data set as files for `engine ingest`: those to learn from apart from those that only judge."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# Labels of a training split may be learnt from. All others are truth, which training and labelers cannot read.
ROLES = {"train": "given"}
TRUTH = "truth"


def label_files(rows: Iterable[tuple[str, str, str]], folder: Path, name: str) -> Mapping[str, Path]:
    """Write (image, label, split) into a CSV file for each role in `folder`; return them by role."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[tuple[str, str, str]]] = {}
    for row in rows:
        parts.setdefault(ROLES.get(row[2], TRUTH), []).append(row)
    return {role: _write(some, folder / f"{name}-{role}.csv") for role, some in parts.items()}


def _write(rows: list[tuple[str, str, str]], path: Path) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with part.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(("image", "label", "split"))
        writer.writerows(rows)
    os.replace(part, path)
    return path
