"""`engine labels set`, `unset` and `import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.output import FILE, counted, emit, json_option, store_option, table

if TYPE_CHECKING:
    from engine.labeling.label_edit import Edited


@click.command("set")
@click.argument("image")
@click.argument("label")
@click.option("--not", "negative", is_flag=True, help="The image is not of this class, whatever others say.")
@store_option
@json_option
def set_command(*, image: str, label: str, negative: bool, store: Path, json: bool) -> None:
    """Say what an image is; replaces what you said before."""
    from engine.labeling.label_edit import set_label
    from engine.store import Store

    _show(image, set_label(Store.open(store), image, label, polarity=not negative), json=json)


@click.command("unset")
@click.argument("image")
@click.argument("label", required=False)
@store_option
@json_option
def unset_command(*, image: str, label: str | None, store: Path, json: bool) -> None:
    """Take back what you said of an image, exemplars included; what else is known counts again."""
    from engine.labeling.label_edit import unset_label
    from engine.store import Store

    _show(image, unset_label(Store.open(store), image, label), json=json)


def _show(image: str, done: Edited, *, json: bool) -> None:
    if json:
        emit({"run": done.run, "id": done.id.hex(), "image": image, "label": done.label})
        return
    nothing = "" if done.run else " (nothing to take back)"
    print(f"{image}: {'no label' if done.label is None else done.label}{nothing}")


@click.command("import")
@click.argument("file", type=FILE)
@store_option
@json_option
def import_command(*, file: Path, store: Path, json: bool) -> None:
    """Say what many images are: a CSV file with the columns image,label."""
    from engine.labeling.label_edit import import_labels
    from engine.store import Store

    done = import_labels(Store.open(store), file)
    if json:
        emit({"run": done.run, "labels": done.labels, "classes": done.classes})
        return
    table(("class", "images"), done.classes.items())
    print(f"{counted(done.labels, 'image')} labelled in run {done.run}")
