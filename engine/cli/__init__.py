"""The command `engine`: one file a command, each parse → one call → print."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

import engine
from engine.cli.output import fail, give_up_stdout
from engine.errors import DiskFull, EngineError, Interrupted
from engine.interrupt import terminated_gently

COMMANDS = {
    "ingest": "engine.cli.ingest:command",
    "embed": "engine.cli.embed:command",
    "spaces": "engine.cli.spaces:command",
    "search": "engine.cli.search:command",
    "index": "engine.cli.index:command",
    "graph": "engine.cli.graph:command",
    "dedupe": "engine.cli.dedupe:command",
    "cluster": "engine.cli.cluster:command",
    "map": "engine.cli.map:command",
    "labels": "engine.cli.labels:command",
    "label": "engine.cli.label:command",
    "evaluate": "engine.cli.evaluate:command",
    "doctor": "engine.cli.doctor:command",
    "train": "engine.cli.train:command",
    "info": "engine.cli.info:command",
    "verify": "engine.cli.verify:command",
    "members": "engine.cli.members:command",
    "runs": "engine.cli.runs:command",
    "remove": "engine.cli.remove:command",
    "compact": "engine.cli.compact:command",
    "export": "engine.cli.export:command",
    "relocate": "engine.cli.relocate:command",
    "bench": "engine.cli.bench:command",
}


class Commands(click.Group):
    """Imports a command's module when it is asked for, so that each starts as fast as it can."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command called `name`, or None."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.command(cls=Commands)
@click.version_option(engine.__version__, message="engine %(version)s")
def app() -> None:
    """An embedding-first store and similarity-search engine for piles of images."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 done but not whole, 2 an error, 130 stopped by Ctrl-C or SIGTERM."""
    # Threads that wait spin otherwise, and take the cores from those that work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    json, code = "--json" in given, 0
    if sys.stdout is None:
        # Closed by whoever started us: the exit code is the answer.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # An argument may hold bytes that are no text. They come out as \udcXX, which is also how JSON spells them.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with terminated_gently():
            code = _run(given)
            sys.stdout.flush()
    except EngineError as error:
        fail(error, json=json)
    except click.ClickException as error:
        fail(EngineError(error.format_message().rstrip("."), "see: engine --help"), json=json, kind="Usage")
    except (KeyboardInterrupt, click.Abort):
        fail(Interrupted("stopped", "give the same command again"), json=json)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        give_up_stdout()
    except Exception as error:
        if "ENGINE_TRACEBACK" in os.environ:
            raise
        if _was_stopped(error):
            fail(Interrupted("stopped", "give the same command again"), json=json)
        fail(_translated(error), json=json, kind=type(error).__name__)
    sys.exit(code)


def _was_stopped(error: Exception) -> bool:
    """Say whether it is what Lance makes of Ctrl-C during a query."""
    return isinstance(error, RuntimeError) and str(error).startswith("Query interrupted")


def _run(arguments: list[str]) -> int:
    # Calling `app` would turn Ctrl-C and a broken pipe into exit codes of its own, without a word.
    try:
        with app.make_context("engine", arguments) as context:
            app.invoke(context)
    except click.exceptions.Exit as done:
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
