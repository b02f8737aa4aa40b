"""`engine cluster name`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.output import counted, emit, json_option, say, store_option


@click.command("name")
@click.argument("cluster")
@click.argument("label")
@click.option("--run", help="The run of clusters (default: the newest).")
@store_option
@json_option
def name_command(*, cluster: str, label: str, run: str | None, store: Path, json: bool) -> None:
    """Label the images of a cluster, as if you had labelled each.

    Images that you labelled before keep what you said of them.
    """
    from engine.clustering.name import name_cluster
    from engine.store import Store

    done = name_cluster(Store.open(store), cluster, label, run=run)
    if json:
        emit(asdict(done))
        return
    kept = f"; {counted(done.kept, 'image')} labelled by a person before stay as they are" if done.kept else ""
    print(f"{counted(done.labelled, 'image')} of cluster {done.cluster} labelled {done.label}{kept}")
    say(f"take it back: engine labels revert {done.run}")
