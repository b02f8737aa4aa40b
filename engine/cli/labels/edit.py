"""`engine labels set`, `unset` and `import`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.output import FILE, counted, emit, json_option, say, store_option, table

if TYPE_CHECKING:
    from engine.labeling.label_edit import Edited
    from engine.labeling.labels import Said


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
    """Take back what you set; where nothing was set, what the image is an exemplar of.

    What else is known of it counts again.
    """
    from engine.labeling.label_edit import unset_label
    from engine.store import Store

    _show(image, unset_label(Store.open(store), image, label), json=json)


def _show(image: str, done: Edited, *, json: bool) -> None:
    if json:
        said = {name: [asdict(one) for one in part] for name, part in (("taken", done.taken), ("left", done.left))}
        emit({"run": done.run, "id": done.id.hex(), "image": image, "label": done.label, **said})
        return
    notes = [f"taken back: {', '.join(map(_words, done.taken))}"] if done.taken else []
    notes += [] if done.run else ["nothing to take back"]
    notes += [f"still {', '.join(map(_words, done.left))}: unset it again to take that back too"] if done.left else []
    more = f" ({'; '.join(notes)})" if notes else ""
    print(f"{image}: {'no label' if done.label is None else done.label}{more}")


def _words(one: Said) -> str:
    what = one.label if one.polarity else f"not {one.label}"
    return what if one.source == "human" else f"an exemplar of {what}"


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
        emit({"run": done.run, "labels": done.labels, "classes": done.classes, "scored": done.scored})
        return
    table(("class", "images"), done.classes.items())
    print(f"{counted(done.labels, 'image')} labelled in run {done.run}")
    if done.scored:
        verbs, pronoun = (("has", "is"), "it") if done.scored == 1 else (("have", "are"), "them")
        say(
            f"{done.scored} of them {verbs[0]} a score, as an export of a run does, and {verbs[1]} a person's word "
            f"from now on; take {pronoun} back: engine labels revert {done.run}"
        )
