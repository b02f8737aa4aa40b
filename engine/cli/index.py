"""`engine index`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import counted, emit, human, json_option, progress, say, size_of, space_option, store_option


@click.command
@click.option("--kind", default="auto", show_default=True, help="auto, exact, flat, hnsw, ivf or pq.")
@click.option("--recall", type=float, default=0.95, show_default=True, help="Recall@10 and @100 to reach.")
@click.option("--memory", help="What the index may take, for --kind auto: 2GB (default: a quarter of the machine's).")
@click.option("--param", "params", multiple=True, help="NAME=VALUE, a parameter of the kind: lists=4096.")
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
            f"built in {found['seconds']:.1f} s, {human(found['bytes'])}"
        )
    else:
        print("  every row is compared; nothing is built")
    if not found["reached"]:
        say(f"no effort of this index reaches a recall of {found['target']}; try another --kind, or --kind exact")
