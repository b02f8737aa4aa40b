"""`engine train autoencoder`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli.output import FILE, counted, emit, json_option, progress, say, store_option

if TYPE_CHECKING:
    from engine.training.autoencoder import Learnt


@click.command("autoencoder")
@click.option("--side", type=int, default=32, show_default=True, help="Pixels a side: 32 or 64.")
@click.option("--steps", type=int, default=3000, show_default=True, help="The most steps, of 64 pictures each.")
@click.option("--head", is_flag=True, help="Learn from labels too: from images with a label that counts.")
@click.option("--reconstruction-weight", type=float, default=1.0, show_default=True, help="Of the squared error.")
@click.option("--classification-weight", type=float, default=1.0, show_default=True, help="Of the head's loss.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn.")
@click.option("--space", default="autoencoder", show_default=True, help="The space to fill.")
@click.option("--output", type=FILE, help="Write pictures of what was learnt into this folder.")
@click.option("--workers", type=int, help="Decoding processes (default: one a core).")
@store_option
@json_option
def autoencoder_command(
    *,
    side: int,
    steps: int,
    head: bool,
    reconstruction_weight: float,
    classification_weight: float,
    seed: int,
    space: str,
    output: Path | None,
    workers: int | None,
    store: Path,
    json: bool,
) -> None:
    """Train an autoencoder on the thumbnails and fill its space.

    Until that is full the space answers as before. What was stopped goes on with the same command.
    """
    from engine.fused import weighing
    from engine.store import Store
    from engine.training.autoencoder import train_autoencoder
    from engine.training.config import configured

    config = configured(
        side=side, steps=steps, seed=seed, reconstruction=reconstruction_weight, classification=classification_weight
    )
    opened = Store.open(store)
    if output is not None:
        from engine.drawing.autoencoder import make_folder

        # Before hours of training, and before the space is another.
        make_folder(output)
    with progress() as drawn:
        done = train_autoencoder(opened, config, head=head, space=space, workers=workers, progress=drawn)
    drawn_pictures: Sequence[Path] = ()
    if output is not None:
        from engine.drawing.autoencoder import draw_model

        drawn_pictures = draw_model(opened, done.model, done.space, output)
    if json:
        emit({**document(done), "pictures": [str(path) for path in drawn_pictures], "store_version": opened.versions()})
        return
    print(sentence(done))
    say(f"  space {done.space.name} ({done.space.fingerprint}): {counted(done.rows, 'vector')} new")
    for space_made in done.followers:
        say(f"  space {space_made.name} was made anew: {weighing(space_made)}")
    for path in drawn_pictures:
        say(f"drawn: {path}")


def document(done: Learnt) -> dict[str, Any]:
    """Return a training as `--json` prints it."""
    about = done.about
    named = ("kind", "classes", "metrics", "side", "images", "held", "corrupt", "steps", "best_step", "stopped_early")
    return {
        "run": done.run,
        "model": done.model,
        "space": done.space.name,
        "fingerprint": done.space.fingerprint,
        **{name: about[name] for name in named},
        "rows": done.rows,
        "lacking": done.lacking,
        "followers": [one.name for one in done.followers],
        "seconds": done.seconds,
    }


def sentence(done: Learnt) -> str:
    """Return what was trained and how well it does, in one line."""
    about, metrics = done.about, done.about["metrics"]
    accuracy = "" if metrics["accuracy"] is None else f", accuracy {metrics['accuracy']:.3f}"
    return (
        f"model {done.model}: {about['images']} pictures at {about['side']} px, step {about['best_step']} of "
        f"{about['config']['steps']}; on {about['held']} held out squared error {metrics['mse']:.4f} of a variance of "
        f"{metrics['variance']:.4f}{accuracy}"
    )
