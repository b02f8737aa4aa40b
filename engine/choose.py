"""Which encoders an ingest fills when none is named: what this machine can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine import encoders
from engine.encoders.base import Encoder
from engine.errors import EncoderUnavailable

# For each kind of space the encoders that can fill it, best first: the first one available runs.
DEFAULTS = (("resnet50", "efficientnet_lite0"), ("clip",))


@dataclass(frozen=True)
class Skipped:
    """An encoder that did not run, why, and the command that adds it later."""

    encoder: str
    reason: str
    remedy: str


def choose(
    *,
    cache: Path,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
) -> tuple[list[Encoder], list[Skipped]]:
    """Return the encoders that run by default on this machine, and those that cannot."""
    chosen: list[Encoder] = []
    skipped: list[Skipped] = []
    for family in DEFAULTS:
        for spec in family:
            state = encoders.available(spec)
            if not state.ok:
                skipped.append(Skipped(spec, state.reason, state.remedy or f"engine embed --encoder {spec}"))
                continue
            encoder = encoders.load(spec, cache=cache, precision=precision, device=device, batch_size=batch_size)
            try:
                # A hub that answered may still not give the weights.
                _ = encoder.fingerprint
            except EncoderUnavailable as error:
                skipped.append(Skipped(spec, error.message, error.remedy or f"engine embed --encoder {spec}"))
                continue
            chosen.append(encoder)
            break
    return chosen, skipped
