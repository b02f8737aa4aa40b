"""The encoder of a store whose weights were learnt from the store: STORE/models/NAME.safetensors, NAME.json."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.encoders.autoencoder.network import DEVIATION, MEAN, encoder, geometry
from engine.encoders.blueprint import Blueprint
from engine.encoders.hub import Remote
from engine.encoders.network import Network
from engine.errors import EncoderUnavailable

RETRAIN = "train anew: engine train autoencoder"


@dataclass(frozen=True, slots=True)
class StoreFile:
    """The weights in the store."""

    path: Path

    @property
    def origin(self) -> str:
        return f"{self.path}, which engine train autoencoder writes"

    @property
    def host(self) -> None:
        return None

    def cached(self) -> Path | None:
        return self.path if self.path.is_file() else None

    def download(self) -> Path:
        raise FileNotFoundError(f"{self.path} is in the store or nowhere")


class Autoencoder(Network):
    """The latent of `autoencoder:NAME`, 128-d; the store is the folder that holds the cache."""

    @property
    def model(self) -> str:
        return self.spec.partition(":")[2]

    @property
    def architecture(self) -> str:
        return f"engine/autoencoder_{self.side}"

    @cached_property
    def side(self) -> int:
        """Return the side of the pictures it was trained with; raise `EncoderUnavailable`."""
        path = self._file(".json")
        try:
            return int(json.loads(path.read_text())["side"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EncoderUnavailable(f"{path} does not say what model {self.model!r} is", self._remedy) from error

    def remote(self) -> Remote:
        return StoreFile(self._file(".safetensors"))

    def weights_file(self) -> Path:
        """Return the weights in the store; raise `EncoderUnavailable` unless they are those it is named after."""
        if self.settings.weights is not None:
            return self.settings.weights
        path = self._file(".safetensors")
        if not path.is_file():
            raise EncoderUnavailable(f"model {self.model!r} is gone: there is no {path}", self._remedy)
        if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(self.model):
            raise EncoderUnavailable(f"{path} is not as it was written", self._remedy)
        return path

    @property
    def _remedy(self) -> str:
        return self.settings.remedy or RETRAIN

    def blueprint(self) -> Blueprint:
        from torch import nn

        module = nn.Sequential(OrderedDict(encoder=encoder(self.side)))
        return Blueprint(module, geometry(self.side), MEAN, DEVIATION, head=("decoder", "head"))

    def _file(self, suffix: str) -> Path:
        cache = self.settings.cache
        if cache is None:
            raise EncoderUnavailable(f"model {self.model!r} is in no store", "give a store: --store PATH")
        return cache.parent / "models" / f"{self.model}{suffix}"
