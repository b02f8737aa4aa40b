"""`engine labels` and what it can do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.cli.labels.edit import import_command, set_command, unset_command
from engine.cli.labels.export import export_command
from engine.cli.labels.runs import accept_command, diff_command, revert_command
from engine.cli.output import counted, emit, json_option, say, store_option, table

SOURCES = ("human", "exemplar", "given", "run", "not")
# Of the runs that nobody accepted the newest are listed.
NEWEST = 5


@click.group(invoke_without_command=True)
@click.option("--all", is_flag=True, help="List every run, however old.")
@store_option
@json_option
@click.pass_context
def command(context: click.Context, *, all: bool, store: Path, json: bool) -> None:
    """Count the labels; set, compare, accept and export them.

    A person's label counts before an exemplar, that before one that came with the data, that before an accepted run.
    """
    if context.invoked_subcommand is not None:
        if ParameterSource.COMMANDLINE in map(context.get_parameter_source, ("all", "store", "json")):
            raise click.UsageError(f"options go behind the command: engine labels {context.invoked_subcommand} ...")
        return
    from engine.labeling.label_counts import label_counts
    from engine.store import Store

    found = label_counts(Store.open(store))
    emit(found) if json else _show(found, every=all)


def _show(found: dict[str, Any], *, every: bool) -> None:
    sources = [source for source in SOURCES if source in found["sources"]]
    classes = sorted({*found["labels"], *(name for source in sources for name in found["sources"][source])})
    table(
        ("class", "counts", *sources),
        [
            (name, found["labels"].get(name, 0), *(found["sources"][source].get(name, 0) for source in sources))
            for name in classes
        ],
    )
    say(f"{counted(found['unlabelled'], 'image')} without a label")
    if found["conflicts"]:
        images = counted(found["conflicts"], "image")
        say(f"{images} with labels that contradict each other, for instance {', '.join(found['conflicting'])}")
    if true := found["sources"].get("truth"):
        many = "1 class" if len(true) == 1 else f"{len(true)} classes"
        say(f"truth, for evaluation: {counted(sum(true.values()), 'image')} of {many}")
    others = [run for run in found["runs"] if run["state"] != "accepted"]
    left = [] if every else others[:-NEWEST]
    for run in [one for one in found["runs"] if one not in left]:
        cut = "" if run["threshold"] is None else f" at {run['threshold']:.4g}"
        how = f"{run['labeler']} in {run['space']}{cut}"
        say(f"{run['state']}: {run['run']}, {how}, {counted(run['labelled'], 'image')}")
        if run["state"] == "proposed":
            say(f"  let it count: engine labels accept {run['run']}")
    if left:
        say(f"and {counted(len(left), 'older run')}: engine labels --all")


for one in (
    set_command,
    unset_command,
    import_command,
    diff_command,
    accept_command,
    revert_command,
    export_command,
):
    command.add_command(one)
