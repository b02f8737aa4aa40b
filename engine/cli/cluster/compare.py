"""`engine cluster compare`."""

from __future__ import annotations

from pathlib import Path

import click

from engine.cli.output import counted, emit, json_option, say, store_option, table

SHOWN = 20


@click.command("compare")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@store_option
@json_option
def compare_command(*, first: str, second: str, store: Path, json: bool) -> None:
    """Compare two runs of clusters: how far they agree, and which clusters share images.

    Noise is a cluster an image in the figures, and one line among the clusters.
    """
    from engine.clustering.compare import compare
    from engine.clustering.score import NAMES
    from engine.store import Store

    done = compare(Store.open(store), first, second)
    metrics = {name: getattr(done.metrics, name) for name in NAMES}
    if json:
        chance = dict(done.metrics.chance)
        emit(
            {
                "runs": list(done.runs),
                "images": done.images,
                "metrics": metrics,
                "chance": chance,
                "contingency": done.contingency,
            }
        )
        return
    table(("cluster of first", "of second", "images"), done.contingency[:SHOWN])
    if len(done.contingency) > SHOWN:
        say(f"and {counted(len(done.contingency) - SHOWN, 'pair')} of clusters more")
    say(
        f"over {counted(done.images, 'image')}: NMI {metrics['nmi']:.4f} (by chance {done.metrics.chance['nmi']:.4f}), "
        f"ARI {metrics['ari']:.4f}, AMI {metrics['ami']:.4f}"
    )
