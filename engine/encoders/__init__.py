"""Encoders: pictures in, vectors of one space out. `load` makes one from what the user typed.

base.py                Encoder: the contract; Geometry: how a picture becomes a square
network.py             Network: base of the encoders that run a network; Settings: what `load` was told
efficientnet_lite0.py  EfficientNetLite0: its weights come as a package
torchvision_cnn.py     ResNet50, ResNet18, EfficientNetB0: torchvision's
timm_model.py          TimmModel: any network of timm
clip.py                Clip: the image towers of open_clip
autoencoder/           Autoencoder: learnt from the store's own pictures, and how it is trained
user.py                UserEncoder: the user's own class
blueprint.py           Blueprint, Card: what a network is, and what identifies it
weights.py             checkpoints: read, fill, digest
hub.py                 Hub, Remote: where weights are found or fetched
notes.py               recall, remember: small JSON notes in the cache
machine.py             cores, processor, GPUs, versions; choose_device
runtime.py             Runtime: the forward pass; the choice of precision
openvino_runtime.py    OpenVINORuntime, conversion and its cache
torch_runtime.py       TorchRuntime
"""

from __future__ import annotations

import importlib
import re
from difflib import get_close_matches
from pathlib import Path

from engine.encoders.base import Encoder, Geometry, names_space
from engine.encoders.hub import HUB, Availability, Hub
from engine.encoders.network import Network, Settings, sanitised
from engine.encoders.user import UserEncoder
from engine.errors import BadInput

__all__ = ["ENCODERS", "HUB", "Availability", "Encoder", "Geometry", "Hub", "available", "load"]

ENCODERS = {
    "efficientnet_lite0": "engine.encoders.efficientnet_lite0:EfficientNetLite0",
    "resnet50": "engine.encoders.torchvision_cnn:ResNet50",
    "resnet18": "engine.encoders.torchvision_cnn:ResNet18",
    "efficientnet_b0": "engine.encoders.torchvision_cnn:EfficientNetB0",
    "timm": "engine.encoders.timm_model:TimmModel",
    "clip": "engine.encoders.clip:Clip",
    "autoencoder": "engine.encoders.autoencoder.encoder:Autoencoder",
}
# The families whose members are named after a colon, and those of which none is meant without a name.
FAMILIES = ("timm", "clip", "autoencoder")
NAMED = ("timm", "autoencoder")
SPACES = {"resnet50": "resnet", "clip:ViT-B-32/laion2b_s34b_b79k": "clip"}


def load(
    spec: str,
    *,
    space: str | None = None,
    weights: Path | str | None = None,
    cache: Path | None = None,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    fingerprint: str | None = None,
    remedy: str | None = None,
) -> Network | UserEncoder:
    """Return the encoder that `spec` names: one of `ENCODERS`, `timm:NAME`, `clip:MODEL/TAG`, `package.module:Class`.

    `autoencoder:MODEL` is a model of the store that has the `cache`; `remedy` is what to type if it is gone.

    Construction is free: libraries and weights are read at the first `fingerprint`, `dim`, `geometry` or `encode`. With
    a `cache` the converted network stays there; with the `fingerprint` of an existing space too, a cached network runs
    without torch, and another one raises `FingerprintMismatch`. Raises `BadInput` for a spec that names nothing.
    """
    if space is not None and not names_space(space):
        raise BadInput(f"{space!r} cannot name a space", "use at most 64 lower-case letters, digits and _")
    if batch_size is not None and batch_size < 1:
        raise BadInput(f"batch size {batch_size} is not positive", "leave it out for the one measured best")
    file = Path(weights) if weights is not None else None
    settings = Settings(file, cache, precision, device, batch_size, fingerprint, remedy)
    name, _, variant = spec.partition(":")
    if (spec in ENCODERS and spec not in NAMED) or (name in FAMILIES and variant):
        module, _, attribute = ENCODERS[name].partition(":")
        made: Network = getattr(importlib.import_module(module), attribute)(
            spec, space=space or _space(spec, name), settings=settings
        )
        return made
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", spec) and name not in ENCODERS:
        if file is not None:
            raise BadInput(f"the user's own encoder {spec!r} takes no weights file", "let the class load its weights")
        return UserEncoder(spec, space=space, settings=settings)
    raise _unknown(spec)


def _space(spec: str, name: str) -> str:
    return name if name == "autoencoder" else SPACES.get(spec) or sanitised(spec)


def available(
    spec: str, *, weights: Path | str | None = None, cache: Path | None = None, hub: Hub = HUB
) -> Availability:
    """Return whether `spec` can run on this machine, why, and if not, what to type.

    A hub is asked only when the weights are not here, and costs at most its few seconds once a process.
    """
    return load(spec, weights=weights, cache=cache).availability(hub=hub)


def _unknown(spec: str) -> BadInput:
    if spec == "autoencoder":
        return BadInput("an autoencoder is named after its model: autoencoder:MODEL", "engine train autoencoder")
    forms = [*(name for name in ENCODERS if name not in NAMED), "timm:NAME", "clip:MODEL/TAG", "package.module:Class"]
    close = get_close_matches(spec.partition(":")[0], ENCODERS, n=2)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    return BadInput(f"unknown encoder {spec!r}{meant}", f"use one of {', '.join(forms)}")
