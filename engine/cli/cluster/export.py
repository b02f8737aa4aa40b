"""`engine cluster export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.output import FILE, counted, emit, json_option, store_option


@click.command("export")
@click.argument("run", required=False)
@click.option("--output", type=FILE, required=True, help="The file to write: .csv or .parquet.")
@store_option
@json_option
def export_command(*, run: str | None, output: Path, store: Path, json: bool) -> None:
    """Write the clusters of a run (default: the newest): id, name, cluster, score."""
    from engine.clustering.export import export_clusters
    from engine.store import Store

    done = export_clusters(Store.open(store), output, run=run)
    if json:
        emit({**asdict(done), "path": str(done.path)})
        return
    print(f"{counted(done.rows, 'image')} of run {done.run} in {done.path}")
