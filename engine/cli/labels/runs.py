"""`engine labels diff`, `accept` and `revert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.output import emit, json_option, say, store_option, table

if TYPE_CHECKING:
    from engine.labeling.label_runs import Decided


@click.command("diff")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@store_option
@json_option
def diff_command(*, first: str, second: str, store: Path, json: bool) -> None:
    """Compare two label runs, class by class."""
    from engine.labeling.label_diff import diff
    from engine.store import Store

    classes = diff(Store.open(store), first, second)
    if json:
        emit({"runs": [first, second], "classes": classes})
        return
    kinds = ("both", "only_first", "only_second", "different")
    table(
        ("class", "both", "only first", "only second", "different"),
        [(name, *(one[kind] for kind in kinds)) for name, one in classes.items()],
    )
    for name, one in classes.items():
        for kind, names in one["names"].items():
            more = one[kind] - len(names)
            say(f"{name}, {kind.replace('_', ' ')}: {', '.join(names)}" + (f" and {more} more" if more else ""))


@click.command("accept")
@click.argument("run")
@store_option
@json_option
def accept_command(*, run: str, store: Path, json: bool) -> None:
    """Let the labels of a run count; of several runs the one accepted last comes first."""
    from engine.labeling.label_runs import accept
    from engine.store import Store

    _show(accept(Store.open(store), run), json=json)


@click.command("revert")
@click.argument("run")
@store_option
@json_option
def revert_command(*, run: str, store: Path, json: bool) -> None:
    """Let a run count no more; what it covered counts again."""
    from engine.labeling.label_runs import revert
    from engine.store import Store

    _show(revert(Store.open(store), run), json=json)


def _show(done: Decided, *, json: bool) -> None:
    if json:
        emit(asdict(done))
        return
    print(f"{done.labels} {'is' if done.run else 'was'} {done.state}{'' if done.run else ' already'}")
    if done.others:
        say(f"accepted too, and counting where nothing comes before: {', '.join(done.others)}")
