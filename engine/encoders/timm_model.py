"""Any network of timm, by its name there."""

from __future__ import annotations

import math
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from engine.encoders.base import Geometry
from engine.encoders.blueprint import Blueprint
from engine.encoders.hub import HuggingFaceFile, Remote, TorchFile
from engine.encoders.network import Network
from engine.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FILES = ("model.safetensors", "pytorch_model.bin")


class TimmModel(Network):
    """Pooled features of `timm:NAME` or `timm:NAME.TAG`."""

    packages: ClassVar = {"torch": "torch", "timm": "timm"}

    @property
    def name(self) -> str:
        return self.spec.partition(":")[2]

    @property
    def architecture(self) -> str:
        # The tag after the dot says which weights, and those have a digest of their own.
        return f"timm/{self.name.partition('.')[0]}"

    def remote(self) -> Remote | None:
        config = self._config()
        if config is None:
            return None
        if config.hf_hub_id:
            return HuggingFaceFile(config.hf_hub_id, (config.hf_hub_filename,) if config.hf_hub_filename else FILES)
        return TorchFile(config.url) if config.url else None

    def blueprint(self) -> Blueprint:
        import timm

        config = self._config()
        module = timm.create_model(self.name, pretrained=False, num_classes=0)
        data = timm.data.resolve_model_data_config(module)
        heads = (config.classifier if config else None) or ()
        return Blueprint(
            module,
            self._geometry(data),
            tuple(data["mean"]),
            tuple(data["std"]),
            head=(heads,) if isinstance(heads, str) else tuple(heads),
        )

    def renamed(self, tensors: dict[str, Tensor], module: Module) -> dict[str, Tensor]:
        """Return the tensors under timm's names, if they are of another release that timm knows how to read."""
        if module.state_dict().keys() <= tensors.keys():
            return tensors
        translate = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
        try:
            return translate(tensors, module) if translate else tensors
        except (KeyError, AttributeError, RuntimeError, ValueError):
            # Not of that release either; the comparison that follows says what is wrong.
            return tensors

    def _config(self) -> Any:
        """Return what timm knows of the pretrained weights; raise `BadInput` for a name it does not know."""
        import timm

        if not timm.is_model(self.name):
            close = get_close_matches(self.name, timm.list_models(), n=5)
            meant = f"; did you mean {', '.join(close)}?" if close else ""
            raise BadInput(
                f"timm has no network {self.name!r}{meant}",
                "list them: python -c 'import timm; print(*timm.list_models())'",
            )
        try:
            return timm.get_pretrained_cfg(self.name)
        except RuntimeError as error:
            raise BadInput(f"timm has no weights {self.name!r}: {error}", "leave the tag after the dot out") from error

    def _geometry(self, data: dict[str, Any]) -> Geometry:
        _, height, width = data["input_size"]
        if height != width or data["crop_mode"] not in ("center", "squash"):
            raise BadInput(
                f"timm:{self.name} wants {height} x {width} pictures, crop mode {data['crop_mode']!r}: not supported"
            )
        resize = math.floor(height / data["crop_pct"])
        return Geometry(height, resize, data["interpolation"], squash=data["crop_mode"] == "squash")
