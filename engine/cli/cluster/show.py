"""`engine cluster show`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.output import FILE, counted, emit, json_option, say, store_option, table


@click.command("show")
@click.argument("run", required=False)
@click.option("--cluster", metavar="N", help="Draw this one, to its border (or noise).")
@click.option("--grid", type=FILE, help="Draw the largest clusters, or the one named, into this PNG file.")
@store_option
@json_option
def show_command(*, run: str | None, cluster: str | None, grid: Path | None, store: Path, json: bool) -> None:
    """List the clusters of a run (default: the newest): size, most typical image, commonest class."""
    from engine.clustering.cluster_runs import cluster_run, members
    from engine.clustering.show import show
    from engine.errors import BadInput
    from engine.pictures.grid import check
    from engine.store import Store

    opened = Store.open(store)
    found = cluster_run(opened, run)
    if cluster is not None:
        members(found, cluster)
        if grid is None:
            raise BadInput("--cluster says which cluster to draw", "say where: --grid cluster.png")
    if grid is not None:
        check(grid)
    against, clusters = show(opened, found)
    if grid is not None:
        from engine.drawing.clusters import draw_cluster, draw_clusters

        drawn = draw_clusters(opened, found, grid) if cluster is None else draw_cluster(opened, found, cluster, grid)
        say(f"drawn: {drawn}")
    if json:
        emit(
            {
                "run": found.run,
                "method": found.details["method"],
                "space": found.details["space"],
                "against": against,
                "clusters": [asdict(one) for one in clusters],
            }
        )
        return
    table(
        ("cluster", "images", "share", "mean score", "medoid", "class", "purity"),
        [
            (one.cluster, one.images, f"{one.share:.1%}", one.score, one.medoid, one.label, one.purity)
            for one in clusters
        ],
    )
    say(
        f"run {found.run}: {counted(found.k, 'cluster')}"
        + (f"; classes are those of the {against}" if against else "")
        + f"\nname one: engine cluster name {clusters[0].cluster if clusters else 0} LABEL"
    )
