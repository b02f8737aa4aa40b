"""The network: pictures of 32 or 64 pixels → a latent of 128 → the same pictures, and for labels a head on the latent.

Both ends fold the picture to 16 × 16 before the first convolution and unfold it after the last, as in Shi et al.,
"Real-time single image super-resolution using an efficient sub-pixel convolutional neural network", CVPR 2016: so 64
pixels cost hardly more than 32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.encoders.base import Geometry
from engine.errors import BadInput

if TYPE_CHECKING:
    from torch.nn import Module, ModuleDict, Sequential

SIDES = (32, 64)
LATENT = 128
# The picture is folded to this many pixels a side, and twice halved from there.
FOLDED = 16
WIDTHS = (48, 80, 160)
DECODED = 32
# Pixels from 0 to 1 less this, over that: about what photos spread over.
MEAN, DEVIATION = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def geometry(side: int) -> Geometry:
    """Return how a picture becomes a square of `side` pixels; raise `BadInput` for a side that there is not."""
    if side not in SIDES:
        raise BadInput(f"the autoencoder sees {' or '.join(map(str, SIDES))} pixels, not {side}", "--side 32")
    return Geometry(side, side, "bicubic")


def encoder(side: int) -> Sequential:
    """Return float32 (n, 3, side, side) → latents (n, 128)."""
    from torch import nn

    fold = side // FOLDED
    first, second, third = WIDTHS
    return nn.Sequential(
        nn.PixelUnshuffle(fold),
        *_block(3 * fold**2, first),
        *_block(first, second, stride=2),
        *_block(second, second),
        *_block(second, third, stride=2),
        nn.Flatten(),
        nn.Linear(third * (FOLDED // 4) ** 2, LATENT),
    )


def decoder(side: int) -> Sequential:
    """Return latents (n, 128) → float32 (n, 3, side, side)."""
    from torch import nn

    fold, start = side // FOLDED, FOLDED // 2
    return nn.Sequential(
        nn.Linear(LATENT, DECODED * start**2),
        nn.Unflatten(1, (DECODED, start, start)),
        nn.BatchNorm2d(DECODED),
        nn.ReLU(),
        nn.Conv2d(DECODED, 4 * DECODED, 3, padding=1, bias=False),
        nn.PixelShuffle(2),
        nn.BatchNorm2d(DECODED),
        nn.ReLU(),
        nn.Conv2d(DECODED, 3 * fold**2, 3, padding=1),
        nn.PixelShuffle(fold),
    )


def autoencoder(side: int, *, classes: int = 0) -> ModuleDict:
    """Return `encoder` and `decoder` and, with `classes`, a linear `head` on the latent."""
    import torch
    from torch import nn

    parts: dict[str, Module] = {"encoder": encoder(side), "decoder": decoder(side)}
    if classes:
        parts["head"] = nn.Linear(LATENT, classes)
    # Channels last: a picture as it lies in memory.
    return nn.ModuleDict(parts).to(memory_format=torch.channels_last)


def _block(before: int, after: int, *, stride: int = 1) -> list[Module]:
    from torch import nn

    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
