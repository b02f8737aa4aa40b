"""`engine cluster` and what it can do with clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from engine.cli.cluster.compare import compare_command
from engine.cli.cluster.export import export_command
from engine.cli.cluster.name import name_command
from engine.cli.cluster.show import show_command
from engine.cli.output import counted, emit, json_option, progress, say, space_option, store_option, table

if TYPE_CHECKING:
    from engine.clustering.cluster_runs import ClusterRun

METHODS = ("kmeans", "spherical", "leiden", "spectral", "agglomerative", "hdbscan")


@click.group(invoke_without_command=True)
@click.option("--method", type=click.Choice(METHODS), default="leiden", show_default=True)
@click.option("-k", metavar="N", help="How many clusters, or auto (not for leiden and hdbscan, which find it).")
@click.option("--reduce", metavar="METHOD:DIM", help="Fewer axes before it: pca:50 or umap:10.")
@click.option("--resolution", type=float, help="leiden: the higher, the more clusters (1 if none is given).")
@click.option("--min-size", type=int, help="hdbscan: images of the smallest cluster (10 if none is given).")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--where", help="SQL condition: only images that meet it.")
@click.option("--reuse/--recompute", default=True, help="Take a run that did the same, or do it again.")
@space_option
@store_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    *,
    method: str,
    k: str | None,
    reduce: str | None,
    resolution: float | None,
    min_size: int | None,
    seed: int,
    where: str | None,
    reuse: bool,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Find clusters of images; show, name, compare and export them.

    They are kept as a run and never count as labels until a cluster gets a name.
    """
    if context.invoked_subcommand is not None:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
            raise click.UsageError(f"options go behind the command: engine cluster {context.invoked_subcommand} ...")
        return
    from engine.clustering.cluster import cluster
    from engine.clustering.plan import Plan
    from engine.store import Store

    plan = Plan.of(method, k, reduce=reduce, seed=seed, resolution=resolution, min_size=min_size)
    with progress() as drawn:
        done = cluster(Store.open(store), plan, space=space, where=where, recompute=not reuse, progress=drawn)
    emit(document(done)) if json else _show(done)


def document(done: ClusterRun) -> dict[str, Any]:
    """Return a run as `--json` prints it."""
    asked, result = done.details, done.result
    return {
        "run": done.run,
        **{name: asked[name] for name in ("method", "space", "reduce", "seed", "where")},
        "images": asked["rows"],
        "k": result["k"],
        "noise": result["noise"],
        "metrics": figures(done),
        **{name: result[name] for name in ("chance", "against", "compared", "params", "sizes", "seconds")},
    }


def figures(done: ClusterRun) -> dict[str, float | None]:
    """Return the metrics in the order in which people read them: the table of runs has them sorted."""
    from engine.clustering.score import FIGURES

    return {name: done.result["metrics"][name] for name in FIGURES}


def _show(done: ClusterRun) -> None:
    result = done.result
    chance = result["chance"] or {}
    lines = [(name, value, chance.get(name)) for name, value in figures(done).items() if value is not None]
    table(("figure", "value", "by chance"), lines)
    against = f"; against the {result['against']} of {counted(result['compared'], 'image')}"
    noise = f", {counted(result['noise'], 'image')} of noise, each a cluster of its own in the figures"
    say(
        f"run {done.run}: {counted(result['k'], 'cluster')} of {counted(done.details['rows'], 'image')} "
        f"by {done.details['method']} in space {done.details['space']}{noise if result['noise'] else ''}"
        f"{against if result['against'] else ''}; {result['seconds']:.1f} s"
    )
    say("look at them: engine cluster show --grid clusters.png")


for one in (show_command, name_command, compare_command, export_command):
    command.add_command(one)
