"""Which encoders an ingest fills when none is named: what this machine can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import encoders
from engine.encoders.base import Encoder
from engine.errors import EncoderUnavailable
from engine.store import Space

# For each kind of space the encoders that can fill it, best first: the first one available runs.
DEFAULTS = (("resnet50", "efficientnet_lite0"), ("clip",))


@dataclass(frozen=True)
class Skipped:
    """An encoder that did not run, why, and the command that adds it later."""

    encoder: str
    reason: str
    remedy: str


def choose(
    known: Mapping[str, Space],
    *,
    cache: Path,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    autoencoder: bool = True,
) -> tuple[list[Encoder], list[Skipped]]:
    """Return the encoders that run by default on this machine, and those that cannot.

    `known` are the spaces that the store has: a family that has one keeps to it, whatever else has become available,
    so that a collection is not split over two spaces. With `autoencoder` the models that the store points to run too.
    """
    chosen: list[Encoder] = []
    skipped: list[Skipped] = []
    for family in DEFAULTS:
        kept = [one for one in known.values() if one.encoder in family]
        for spec in [one.encoder for one in kept] or family:
            weights = next((one.recipe["weights"] for one in kept if one.encoder == spec), None)
            state = encoders.available(spec, weights=weights)
            if not state.ok:
                skipped.append(Skipped(spec, state.reason, state.remedy or f"engine embed --encoder {spec}"))
                continue
            encoder = encoders.load(
                spec,
                weights=weights,
                cache=cache,
                precision=precision,
                device=device,
                batch_size=batch_size,
            )
            try:
                # A hub that answered may still not give the weights.
                _ = encoder.fingerprint
            except EncoderUnavailable as error:
                skipped.append(Skipped(spec, error.message, error.remedy or f"engine embed --encoder {spec}"))
                continue
            chosen.append(encoder)
            break
    for space in known.values() if autoencoder else ():
        if space.encoder.startswith("autoencoder:"):
            state = encoders.available(space.encoder, cache=cache)
            if not state.ok:
                skipped.append(Skipped(space.encoder, state.reason, "engine train autoencoder"))
                continue
            chosen.append(
                encoders.load(
                    space.encoder,
                    space=space.name,
                    cache=cache,
                    precision=precision,
                    device=device,
                    batch_size=batch_size,
                    fingerprint=space.fingerprint,
                )
            )
    return chosen, skipped
