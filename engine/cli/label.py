"""`engine label`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.label_output import document, show
from engine.cli.output import FILE, emit, json_option, progress, say, space_option, store_option
from engine.errors import BadInput


class Pair(click.ParamType):
    """A class and something else, CLASS=IMAGE for instance."""

    def __init__(self, name: str = "CLASS=IMAGE", example: str = "--exemplar sunflower=3048") -> None:
        self.name, self.example = name, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return (class, what it is given)."""
        label, equals, image = str(value).partition("=")
        if not equals or not image:
            two = self.name.lower().replace("=", " and ")
            raise BadInput(f"{value!r} names no {two}", f"write {self.name}: {self.example}")
        return label, image


class Several(click.ParamType):
    """Values with commas between them."""

    def __init__(self, kind: Callable[[str], Any], name: str) -> None:
        self.kind, self.name = kind, name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Sequence[Any]:
        """Return each as what it has to be."""
        if not isinstance(value, str):
            return value
        try:
            return [self.kind(part.strip()) for part in value.split(",")]
        except ValueError:
            raise BadInput(f"{value!r} is not a list of numbers", "write them as 0.7,0.75,0.8") from None


@click.command
@click.option("--exemplar", type=Pair(), multiple=True, help="A stored image of a class; remembered.")
@click.option(
    "--not", "negative", type=Pair(), multiple=True, help="A stored image that is not of a class; remembered."
)
@click.option("--threshold", type=Several(float, "T,..."), default=(), help="The least score; a run for each: 0.7,0.8.")
@click.option("--fpr", type=Several(float, "RATE,..."), default=(), help="Thresholds that so few random pairs reach.")
@click.option(
    "--labeler",
    type=click.Choice(["nearest", "centroid", "vote", "propagate"]),
    default="nearest",
    show_default=True,
    help="Closest exemplar, class mean, k that vote, or spread over the graph of neighbours.",
)
@click.option("--margin", type=float, default=0.0, show_default=True, help="How far behind the second class must be.")
@click.option("-k", type=int, help="How many exemplars vote (5 if none is given).")
@click.option("--none-label", metavar="CLASS", help="Write whatever is of no class as this one.")
@click.option("--balance", type=float, metavar="RATIO", help="Draw the rest to this many times the others.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of that draw.")
@click.option("--compare-spaces", type=Several(str, "S,S"), default=(), help="Do it in each and say what they share.")
@click.option("--agree", is_flag=True, help="Also write what all compared spaces agree on.")
@click.option("--where", help="SQL condition: only images that meet it.")
@click.option("--grid", type=FILE, help="Draw the weakest accepted and strongest rejected into this PNG file.")
@space_option
@store_option
@json_option
def command(
    *,
    exemplar: Sequence[tuple[str, str]],
    negative: Sequence[tuple[str, str]],
    threshold: Sequence[float],
    fpr: Sequence[float],
    labeler: str,
    margin: float,
    k: int | None,
    none_label: str | None,
    balance: float | None,
    seed: int,
    compare_spaces: Sequence[str],
    agree: bool,
    where: str | None,
    grid: Path | None,
    space: str | None,
    store: Path,
    json: bool,
) -> None:
    """Label the images that lie close enough to exemplars.

    Each threshold makes a run, proposed until engine labels accept RUN. Exemplars are remembered: the next time the
    threshold is enough. Without any, what people and the data say of images takes their place.
    """
    from engine.labeling.label import label
    from engine.labeling.label_rule import Rule
    from engine.pictures.grid import check
    from engine.store import Store

    opened = Store.open(store)
    if grid is not None:
        # Before anything is written.
        check(grid)
    rule = Rule(labeler, threshold, fpr, margin, k, none_label, balance, seed)
    with progress() as drawn:
        done = label(
            opened, rule, exemplars=exemplar, negatives=negative, space=space, compare=compare_spaces, agree=agree,
            where=where, progress=drawn,
        )  # fmt: skip
    if grid is not None:
        from engine.drawing.labels import draw_labels

        say(f"drawn: {', '.join(map(str, draw_labels(opened, done, grid)))}")
    if json:
        emit(document(done))
    else:
        show(done)
