"""The image tower of CLIP and its kin, through open_clip."""

from __future__ import annotations

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

DEFAULT = "ViT-B-32/laion2b_s34b_b79k"
# Written down so that looking for the default does not import open_clip; a test compares it.
DEFAULT_REPO = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TOWER = "visual."


class Clip(Network):
    """What `encode_image` of `clip:MODEL/TAG` gives.

    Radford et al., arXiv:2103.00020; the default weights: Cherti et al., arXiv:2212.07143.
    """

    packages: ClassVar = {"torch": "torch", "open_clip": "open_clip_torch"}

    @property
    def name(self) -> str:
        return self.spec.partition(":")[2] or DEFAULT

    @property
    def model(self) -> str:
        return self.name.partition("/")[0]

    @property
    def tag(self) -> str:
        return self.name.partition("/")[2]

    @property
    def architecture(self) -> str:
        return f"open_clip/{self.model}" + ("+quickgelu" if self._release().get("quick_gelu") else "")

    def remote(self) -> Remote | None:
        if self.name == DEFAULT:
            return HuggingFaceFile(DEFAULT_REPO, FILES)
        release = self._release()
        # "owner/repository/" or "owner/repository/file"
        owner, _, rest = release.get("hf_hub", "").partition("/")
        repo, _, file = rest.partition("/")
        if repo:
            return HuggingFaceFile(f"{owner}/{repo}", (file,) if file else FILES)
        return TorchFile(release["url"]) if release.get("url") else None

    def blueprint(self) -> Blueprint:
        import open_clip

        release = self._release()
        quick = bool(release.get("quick_gelu"))
        whole = open_clip.create_model(self.model, force_quick_gelu=quick, load_weights=False, pretrained_text=False)
        tower: Any = whole.visual
        preset = tower.preprocess_cfg | {
            key: release[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in release
        }
        side = tower.image_size[0] if isinstance(tower.image_size, tuple) else tower.image_size
        if preset["resize_mode"] not in ("shortest", "squash"):
            raise BadInput(f"clip:{self.name} resizes by {preset['resize_mode']!r}: not supported")
        geometry = Geometry(side, side, preset["interpolation"], squash=preset["resize_mode"] == "squash")
        if getattr(tower, "output_tokens", False):
            # CoCa's tower gives its patches too; `encode_image` keeps the picture's vector.
            tower.output_tokens = False
        return Blueprint(tower, geometry, tuple(preset["mean"]), tuple(preset["std"]))

    def renamed(self, tensors: dict[str, Tensor], module: Module) -> dict[str, Tensor]:
        """Return the image tower's tensors of a whole CLIP."""
        return {name.removeprefix(TOWER): tensor for name, tensor in tensors.items() if name.startswith(TOWER)}

    def _release(self) -> dict[str, Any]:
        """Return what open_clip knows of the published weights; raise `BadInput` for names it does not know."""
        import open_clip

        if self.model not in open_clip.list_models():
            raise BadInput(
                f"open_clip has no model {self.model!r}{_meant(self.model, open_clip.list_models())}",
                f"--encoder clip:{DEFAULT}",
            )
        if not self.tag and self.settings.weights:
            return {}
        tags = open_clip.list_pretrained_tags_by_model(self.model)
        release: dict[str, Any] = open_clip.get_pretrained_cfg(self.model, self.tag) if self.tag in tags else {}
        if not release:
            raise BadInput(
                f"{self.model} has no weights {self.tag!r}; it has {', '.join(tags) or 'none'}",
                f"--encoder clip:{DEFAULT}",
            )
        return release


def _meant(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=5)
    return f"; did you mean {', '.join(close)}?" if close else ""
