"""What a network is: how it computes, and the card that identifies it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.encoders.base import Geometry

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A network without its classifier, and the preprocessing it was trained with.

    `module` maps float32 (n, 3, side, side), scaled by `mean` and `std` of pixels from 0 to 1, to (n, dim). `head`
    names the tensors of the classifier that a checkpoint may hold beside the trunk's.
    """

    module: Module
    geometry: Geometry
    mean: tuple[float, ...]
    std: tuple[float, ...]
    head: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """What identifies a network, small enough to be kept beside it."""

    architecture: str
    weights: str
    geometry: Geometry
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dim: int

    @property
    def fingerprint(self) -> str:
        """Return the first 12 hex digits of the sha256 over everything that determines the vectors."""
        content = asdict(self)
        del content["dim"]
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:12]

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> Card:
        """Return the card that was kept as `asdict`."""
        triples = {"mean": tuple(note["mean"]), "std": tuple(note["std"])}
        return cls(**note | triples | {"geometry": Geometry(**note["geometry"])})
