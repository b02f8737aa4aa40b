"""The command `engine`: one file a command, each parse → one call → print."""

from __future__ import annotations

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
from engine.cli.output import fail
from engine.errors import EngineError

app = typer.Typer(
    name="engine",
    help="An embedding-first store and similarity-search engine for piles of images.",
    no_args_is_help=True,
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
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(app(given, standalone_mode=False) or 0)
    except EngineError as error:
        fail(error, json="--json" in given)
    except typer.TyperException as error:
        fail(EngineError(error.format_message(), "see: engine --help"), json="--json" in given, kind="Usage")
    except (KeyboardInterrupt, typer.Abort):
        fail(_interrupted(), json="--json" in given)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        sys.exit(0)


def _interrupted() -> EngineError:
    from engine.errors import Interrupted

    return Interrupted("stopped", "give the same command again")
