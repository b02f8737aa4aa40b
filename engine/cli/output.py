"""What every command shares: its options, answers on stdout, everything else on stderr."""

from __future__ import annotations

import csv
import json as jsonlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from engine.errors import BadInput, EngineError

if TYPE_CHECKING:
    from engine.progress import Progress

FILE = click.Path(path_type=Path)
MOST_BYTES = 2**63 - 1

store_option = click.option(
    "--store", type=FILE, default="engine-store", envvar="ENGINE_STORE", show_default=True, help="The store's folder."
)
json_option = click.option("--json", is_flag=True, help="Print JSON instead of a table.")
space_option = click.option("--space", help="The space (default: see engine spaces).")


def emit(document: Any) -> None:
    """Print one JSON document on a line of its own."""
    print(jsonlib.dumps(document, ensure_ascii=False, allow_nan=False))


def emit_lines(documents: Iterable[Any]) -> None:
    """Print JSON lines."""
    for document in documents:
        emit(document)


def say(text: str) -> None:
    """Write a line for people, beside the answer."""
    print(text, file=sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows for people: aligned in a terminal, tab-separated through a pipe so that no name is cut."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(_text(value) for value in row))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(title=title, header_style="bold", box=None, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(_text(value)) for value in row))
    Console().print(drawn)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else one_line(str(value))


def one_line(text: str) -> str:
    """Return `text` with line breaks, tabs and what else would move the cursor spelled out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def fail(error: EngineError, *, json: bool, kind: str | None = None) -> NoReturn:
    """Say in one line what happened and what helps, and exit."""
    try:
        if json:
            emit({"error": {"kind": kind or error.kind, "message": error.message, "remedy": error.remedy}})
        sys.stdout.flush()
    except OSError:
        give_up_stdout()
    say(f"engine: {one_line(str(error)) or kind or error.kind}")
    sys.exit(error.exit_code)


def give_up_stdout() -> None:
    """Point stdout nowhere: it takes nothing any more, and what is left in its buffer would fail again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress() -> Iterator[Progress]:
    """Draw the progress of long work on stderr; a line now and then where stderr is no terminal."""
    from engine.cli.progress import Drawn

    drawn = Drawn()
    try:
        yield drawn
    finally:
        drawn.stop()


def counted(number: int, what: str) -> str:
    """Return `1 image`, `2 images`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def known(value: float) -> float | None:
    """Return a number as JSON knows it: what is not defined is null."""
    return float(value) if isfinite(value) else None


def human(size: float) -> str:
    """Return bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def listed_names(text: str) -> list[str]:
    """Return names with commas between them, quoted as in a CSV file where they hold one; raise `BadInput`."""
    try:
        (row,) = csv.reader([text], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError):
        raise BadInput(f"{text!r} is not a list of names", """write it as A,B or, with a comma, '"A, b",B'""") from None
    return [name.strip() for name in row]


def size_of(text: str) -> int:
    """Return the bytes that `2GB`, `512MiB` or `1000` stand for; raise `BadInput` for anything else."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([kmgt]?)(i?)b?)?", text.strip().lower())
    if found is None:
        raise BadInput(f"{text!r} is not a size", "write it as 2GB or 512MiB")
    number, prefix, binary = found.groups()
    size = float(number) * (1024 if binary else 1000) ** ("kmgt".index(prefix) + 1 if prefix else 0)
    if size > MOST_BYTES:
        raise BadInput(f"{text[:20]}… is more than any memory has", "write it as 2GB or 512MiB")
    return int(size)
