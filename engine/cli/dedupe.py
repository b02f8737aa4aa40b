"""`engine dedupe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.output import FILE, counted, emit, json_option, progress, say, space_option, store_option, table

if TYPE_CHECKING:
    from engine.neighbors.dedupe import Deduped


@click.command
@click.option("--threshold", type=float, default=0.96, show_default=True, help="What every pair of a group has.")
@click.option("--where", help="SQL condition: only images that meet it.")
@click.option("--keep", type=click.Choice(["largest", "first"]), default="largest", show_default=True)
@click.option("--grid", type=FILE, help="Draw the first groups into this PNG file.")
@click.option("--dry-run", is_flag=True, help="Record nothing.")
@space_option
@store_option
@json_option
def command(
    *,
    threshold: float,
    where: str | None,
    keep: str,
    grid: Path | None,
    dry_run: bool,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Find images that are nearly the same, in groups.

    One of each group is kept; the others go with engine remove --run RUN.
    """
    from engine.neighbors.dedupe import dedupe
    from engine.store import Store
    from engine.store.names import several_sources

    opened = Store.open(store)
    if grid is not None:
        from engine.pictures.grid import check

        # Before a run is recorded.
        check(grid)
    with progress() as drawn:
        found = dedupe(
            opened, space=space, threshold=threshold, where=where, keep=keep, dry_run=dry_run, progress=drawn
        )
    if grid is not None:
        from engine.drawing.hits import draw_groups

        draw_groups(opened, found, grid)
        say(f"drawn: {grid}")
    if json:
        emit(document(found))
        return
    several = several_sources(opened)
    lines = [
        (number, "yes" if place == 0 else "", score, *((one.source,) if several else ()), one.name)
        for number, group in enumerate(found.groups, 1)
        for place, (one, score) in enumerate(zip(group.pictures, group.scores, strict=True))
    ]
    table(("group", "kept", "score", *(("source",) if several else ()), "name"), lines)
    say(summary(found))


def summary(found: Deduped) -> str:
    """Return what was found in a line, and on what it rests."""
    text = f"{counted(len(found.groups), 'group')} in {counted(found.images, 'image')} of space {found.space}: "
    text += f"{found.removable} could go; every pair of a group >= {found.threshold}, "
    if found.complete:
        text += "complete"
    elif found.graph:
        text += f"from a graph ({found.graph['kind']}) with recall {found.graph['recall']:.3f}"
    return text + (f"\nremove them: engine remove --run {found.run}" if found.run and found.removable else "")


def document(found: Deduped) -> dict[str, Any]:
    """Return the groups as `--json` prints them."""
    return {
        "run": found.run,
        "groups": [[one.name for one in group.pictures] for group in found.groups],
        "threshold": found.threshold,
        "space": found.space,
        "complete": found.complete,
        "graph": found.graph,
        "kept": len(found.groups),
        "removable": found.removable,
        "pictures": [
            [
                {"id": one.id.hex(), "name": one.name, "source": one.source, "ordinal": one.place[1], "score": score}
                for one, score in zip(group.pictures, group.scores, strict=True)
            ]
            for group in found.groups
        ],
    }
