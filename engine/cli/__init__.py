"""The command `engine`: one file a command, each parse → one call → print."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import engine
from engine.cli import (
    compact,
    embed,
    export,
    info,
    ingest,
    members,
    relocate,
    remove,
    runs,
    search,
    spaces,
    verify,
)
from engine.cli.output import fail, give_up_stdout
from engine.errors import DiskFull, EngineError, Interrupted

app = typer.Typer(
    name="engine",
    help="An embedding-first store and similarity-search engine for piles of images.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (ingest, embed, spaces, search, info, verify, members, runs, remove, compact, export, relocate)
for module in COMMANDS:
    app.command(module.__name__.rpartition(".")[2])(module.command)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"engine {engine.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """An embedding-first store and similarity-search engine for piles of images."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 done but not whole, 2 an error, 130 interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    json, code = "--json" in given, 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An argument may hold bytes that are no text. They come out as \udcXX, which is also how JSON spells them.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(given)
        sys.stdout.flush()
    except EngineError as error:
        fail(error, json=json)
    except typer.TyperException as error:
        fail(EngineError(error.format_message(), "see: engine --help"), json=json, kind="Usage")
    except (KeyboardInterrupt, typer.Abort):
        fail(Interrupted("stopped", "give the same command again"), json=json)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        give_up_stdout()
    except Exception as error:
        if "ENGINE_TRACEBACK" in os.environ:
            raise
        fail(_translated(error), json=json, kind=type(error).__name__)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    # Calling `app` would turn Ctrl-C and a broken pipe into exit codes of its own, without a word.
    command = typer.main.get_command(app)
    try:
        with command.make_context("engine", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _translated(error: Exception) -> EngineError:
    """Return what nobody foresaw as an error that fits on a line."""
    from engine.store.durable import is_full

    if is_full(error):
        return DiskFull(f"the disk is full: {error}", "make space, then give the same command again")
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return EngineError(f"{name}{error.strerror}", "check the path, its permissions and the disk")
    return EngineError(
        f"{type(error).__name__}: {error}", "a fault of engine; report what ENGINE_TRACEBACK=1 makes it print"
    )
