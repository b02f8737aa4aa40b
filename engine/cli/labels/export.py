"""`engine labels export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.output import FILE, counted, emit, json_option, listed_names, say, store_option
from engine.labeling.exports import FORMATS


@click.command("export")
@click.option("--run", help="A label run (default: the labels that count).")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="csv", show_default=True)
@click.option("--output", type=FILE, required=True, help="The file or new folder to write.")
@click.option("--images", is_flag=True, help="With the pictures (parquet, coco; folder and webdataset always).")
@click.option("--indices", type=FILE, help="CSV file: only the images it names, in its order.")
@click.option("--classes", help="Only these, in this order: A,B,C; one with a comma in quotes: '\"A, b\",C'.")
@store_option
@json_option
def export_command(
    *,
    run: str | None,
    form: str,
    output: Path,
    images: bool,
    indices: Path | None,
    classes: str | None,
    store: Path,
    json: bool,
) -> None:
    """Write labels, with or without the images, for other tools.

    Pictures are written of labelled images only; a list without pictures has every image.
    """
    from engine.labeling.label_export import export_labels
    from engine.store import Store

    names = listed_names(classes) if classes else None
    done = export_labels(
        Store.open(store), output, run=run, form=form, images=images, indices=indices, classes=names
    )  # fmt: skip
    if json:
        emit({**asdict(done), "path": str(done.path)})
        return
    print(f"{counted(done.rows, 'image')}, {done.labelled} of them labelled, in {done.path}")
    say(f"classes: {', '.join(done.classes) or 'none'}")
    if done.without:
        say(f"{counted(done.without, 'image')} left out, without a label")
