"""ImageNet networks of torchvision: what they compute before the classifier."""

from __future__ import annotations

from typing import Any, ClassVar

from engine.encoders.base import Geometry
from engine.encoders.blueprint import Blueprint
from engine.encoders.hub import Remote, TorchFile
from engine.encoders.network import Network


class TorchvisionCNN(Network):
    """Pooled features of one network of torchvision. A member says which, with which weights, and what its head is."""

    packages: ClassVar = {"torch": "torch", "torchvision": "torchvision"}
    network: str
    tag: str
    # Written down so that looking for the file does not import torchvision; a test compares them.
    file: str
    head: str

    @property
    def architecture(self) -> str:
        return f"torchvision/{self.network}"

    def remote(self) -> Remote:
        return TorchFile(f"https://download.pytorch.org/models/{self.file}")

    def blueprint(self) -> Blueprint:
        import torch
        from torchvision.models import get_model, get_model_weights

        module = get_model(self.network, weights=None)
        setattr(module, self.head, torch.nn.Identity())
        preset: Any = get_model_weights(self.network)[self.tag].transforms()
        geometry = Geometry(preset.crop_size[0], preset.resize_size[0], preset.interpolation.value)
        return Blueprint(module, geometry, tuple(preset.mean), tuple(preset.std), head=(self.head,))


class ResNet50(TorchvisionCNN):
    """2048-d (He et al., arXiv:1512.03385), in torchvision's second and better training."""

    network, tag, file, head = "resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", "fc"


class ResNet18(TorchvisionCNN):
    """512-d (He et al., arXiv:1512.03385)."""

    network, tag, file, head = "resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth", "fc"


class EfficientNetB0(TorchvisionCNN):
    """1280-d (Tan and Le, arXiv:1905.11946)."""

    network, tag, file, head = (
        "efficientnet_b0",
        "IMAGENET1K_V1",
        "efficientnet_b0_rwightman-7f5810bc.pth",
        "classifier",
    )
