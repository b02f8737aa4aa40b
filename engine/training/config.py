"""What a training is told, checked before anything is read."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from engine.errors import BadInput

if TYPE_CHECKING:
    from engine.encoders.autoencoder.training import Config

MOST_SEED = 2**32 - 1


def configured(
    *, steps: int, side: int = 32, seed: int = 0, reconstruction: float = 1.0, classification: float = 1.0
) -> Config:
    """Return the settings of a training of an autoencoder; raise `BadInput` for what cannot be meant."""
    from engine.encoders.autoencoder.network import geometry
    from engine.encoders.autoencoder.training import Config

    geometry(side)
    if steps < 1:
        raise BadInput(f"--steps {steps}", "give a positive number")
    if not 0 <= seed <= MOST_SEED:
        raise BadInput(f"--seed {seed}", f"give a number from 0 to {MOST_SEED}")
    for option, weight in (("reconstruction", reconstruction), ("classification", classification)):
        if not (isfinite(weight) and weight > 0):
            raise BadInput(f"--{option}-weight {weight}", "give a positive weight")
    return Config(steps, side=side, seed=seed, reconstruction=reconstruction, classification=classification)
