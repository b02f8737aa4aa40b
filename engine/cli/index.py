"""`engine index`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.output import counted, emit, human, json_option, progress, say, size_of, space_option, store_option
from indexers import INDEXES, parameters

# Defaults that go by the number of rows.
CHOSEN = {("ivf", "lists"): "2·√rows", ("ivfpq", "lists"): "16·√rows"}
PARAMETERS = "; ".join(
    f"{kind} {', '.join(f'{name}={CHOSEN.get((kind, name), value)}' for name, value in given.items())}"
    for kind in INDEXES
    if (given := parameters(kind))
)
# What an index was built with is what it is extended with.
BUILT_WITH = ("kind", "recall", "memory", "params")


@click.command
@click.option("--kind", default="auto", show_default=True, help=f"auto, {', '.join(INDEXES)}.")
@click.option("--recall", type=float, default=0.95, show_default=True, help="Recall@10 and @100 to reach.")
@click.option("--memory", help="What the index may take, for --kind auto: 2GB (default: a quarter of the machine's).")
@click.option("--param", "params", multiple=True, help=f"NAME=VALUE, a parameter of the kind: {PARAMETERS}.")
@click.option("--update", is_flag=True, help="Add what came since to the index that is there.")
@space_option
@store_option
@json_option
def command(
    *,
    kind: str,
    recall: float,
    memory: str | None,
    params: tuple[str, ...],
    update: bool,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Build an index over a space and measure its recall.

    Rows that it is measured with are kept out of it and compared one by one, as are rows that come later.
    """
    from engine.errors import BadInput
    from engine.retrieval.index import build
    from engine.retrieval.index import update as extend
    from engine.store import Store

    if wrong := [one for one in params if "=" not in one]:
        raise BadInput(f"--param {wrong[0]} has no value", "--param lists=4096")
    asked = click.get_current_context().get_parameter_source
    if update and (chosen := [one for one in BUILT_WITH if asked(one) is not click.core.ParameterSource.DEFAULT]):
        raise BadInput(
            f"--update goes on with what the index was built with; --{chosen[0].removesuffix('s')} is for a new one",
            "leave one of the two out",
        )
    opened, given = Store.open(store), dict(one.split("=", 1) for one in params)
    with progress() as drawn:
        if update:
            found = extend(opened, space, progress=drawn)
        else:
            bytes_ = None if memory is None else size_of(memory)
            found = build(opened, space, kind=kind, params=given, recall=recall, memory=bytes_, progress=drawn)
    if json:
        emit(found)
        return
    recalls = ", ".join(f"recall@{depth} {value:.3f}" for depth, value in found["recall"].items())
    print(f"space {found['space']}: {found['kind']}, {counted(found['rows'], 'row')}, {recalls}")
    if found["bytes"]:
        print(
            f"  measured with {found['queries']} rows held out: {1000 * found['seconds_a_query']:.2f} ms a query; "
            f"{_work(found)}, {human(found['bytes'])}"
        )
    else:
        print("  every row is compared; nothing is built" + ("; the index before is gone" if found["dropped"] else ""))
    if not found.get("trained", True):
        say("so few rows train no index: searches compare every row; when there are more: engine index --update")
    if not found["reached"]:
        say(f"no effort of this index reaches a recall of {found['target']}; try another --kind, or --kind exact")


def _work(found: dict[str, Any]) -> str:
    """Return what was done and how long it took."""
    if "added" not in found:
        return f"built in {found['seconds']:.1f} s"
    if found["added"] is None:
        return f"built anew in {found['seconds']:.1f} s, for rows of it were removed"
    if found["added"] == 0:
        return "nothing came since"
    return f"{counted(found['added'], 'row')} added and all measured again in {found['update_seconds']:.1f} s"
