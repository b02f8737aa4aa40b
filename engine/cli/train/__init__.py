"""`engine train` and what it can train."""

from __future__ import annotations

import click

from engine.cli.train.autoencoder import autoencoder_command


@click.group()
def command() -> None:
    """Learn from the collection itself."""


command.add_command(autoencoder_command)
