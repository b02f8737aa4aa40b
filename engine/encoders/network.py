"""Encoders that are networks of a fixed input size: a member says how to build one and where its weights are."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from engine.encoders import weights as wt
from engine.encoders.base import Geometry, Pixels, Vectors, quiet
from engine.encoders.blueprint import Blueprint, Card
from engine.encoders.hub import HUB, Availability, Hub, Remote, look, obtain
from engine.encoders.machine import choose_device, cpu_model, versions
from engine.encoders.notes import recall, remember
from engine.encoders.openvino_runtime import (
    OpenVINORuntime,
    convert,
    has_openvino,
    keep_converted,
    openvino_has_bf16,
    read_converted,
)
from engine.encoders.runtime import Runtime, at_precision, check_precision
from engine.encoders.torch_runtime import TorchRuntime
from engine.errors import BadInput, EncoderUnavailable, FingerprintMismatch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, slots=True)
class Settings:
    """What `load` was told; `fingerprint` is the one the space already has.

    `remedy` is what to type where a model of the store is gone.
    """

    weights: Path | None = None
    cache: Path | None = None
    precision: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    fingerprint: str | None = None
    remedy: str | None = None


def sanitised(name: str) -> str:
    """Return `name` in lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class Network:
    """Base of the encoders that run a network. A member writes `architecture`, `remote` and `blueprint`."""

    # Import name and the name to install, of what building the network takes.
    packages: ClassVar[dict[str, str]] = {"torch": "torch"}

    def __init__(self, spec: str, *, space: str, settings: Settings) -> None:
        self.spec = spec
        self.space = space
        self.settings = settings

    # --- what a member writes ---

    @property
    def architecture(self) -> str:
        """Return the name of the computation, whatever its weights."""
        raise NotImplementedError

    def remote(self) -> Remote | None:
        """Return where the weights are published."""
        raise NotImplementedError

    def blueprint(self) -> Blueprint:
        """Return the network with any weights."""
        raise NotImplementedError

    def weights_file(self) -> Path:
        """Return the file of the weights, downloaded if need be; raise `EncoderUnavailable`."""
        given = self.settings.weights
        return obtain(self.spec, given, None if given else self.remote(), HUB)

    def renamed(self, tensors: dict[str, Tensor], module: Module) -> dict[str, Tensor]:
        """Return a checkpoint's tensors under the names that `module` has."""
        return tensors

    # --- who it is ---

    @property
    def dim(self) -> int:
        return self.card.dim

    @property
    def geometry(self) -> Geometry:
        return self.card.geometry

    @property
    def fingerprint(self) -> str:
        return self.card.fingerprint

    @cached_property
    def card(self) -> Card:
        """Return the network's card, from the cache where it can be; raise `FingerprintMismatch`."""
        card = self._known_card() or self._built[1]
        expected = self.settings.fingerprint
        if expected and card.fingerprint != expected:
            raise self._mismatch(expected, card.fingerprint)
        return card

    def _mismatch(self, expected: str, actual: str) -> FingerprintMismatch:
        return FingerprintMismatch(
            f"space {self.space!r} has fingerprint {expected}, but {self.spec!r} has {actual}",
            "use the weights the space was made with (--weights FILE) or another name (--space NAME)",
        )

    @property
    def recipe(self) -> dict[str, Any]:
        """Return the arguments with which `load` makes this encoder again."""
        weights = self.settings.weights
        return {"spec": self.spec, "space": self.space, "weights": str(weights.absolute()) if weights else None}

    def availability(self, *, hub: Hub | None = None) -> Availability:
        """Return whether it can run here; nothing is loaded or downloaded."""
        if missing := self._missing_package():
            return Availability(False, f"{missing} is not installed", f"pip install {missing}")
        return look(self.spec, self.settings.weights, self.remote(), hub or HUB)

    def _missing_package(self) -> str | None:
        missing = (pip for name, pip in self.packages.items() if importlib.util.find_spec(name) is None)
        return next(missing, None)

    # --- the card and the network behind it ---

    @property
    def _cards(self) -> Path | None:
        return self.settings.cache / "digests.json" if self.settings.cache else None

    def _note(self, file: Path) -> str:
        """Return the key under which the card made from `file` is kept."""
        about = file.stat()
        return f"{self.spec} {about.st_size} {about.st_mtime_ns} {file.absolute()}"

    def _known_card(self) -> Card | None:
        """Return the card from an earlier process, so that neither weights nor torch are needed."""
        if self._cards is None:
            return None
        notes = recall(self._cards)
        given, expected = self.settings.weights, self.settings.fingerprint
        if expected and (given is None or not given.exists()):
            # The fingerprint alone says which network; its weights may have left this machine.
            cards = (Card.from_note(note) for key, note in notes.items() if key.startswith(f"{self.spec} "))
            return next((card for card in cards if card.fingerprint == expected), None)
        file = given or self._cached_weights()
        note = notes.get(self._note(file)) if file is not None and file.is_file() else None
        return Card.from_note(note) if note else None

    def _cached_weights(self) -> Path | None:
        if self._missing_package():
            return None
        remote = self.remote()
        return remote.cached() if remote else None

    @cached_property
    def _built(self) -> tuple[Blueprint, Card]:
        """Return the network with its weights, and its card."""
        if missing := self._missing_package():
            raise EncoderUnavailable(f"encoder {self.spec!r} needs {missing}", f"pip install {missing}")
        file = self.weights_file()
        tensors = wt.read(file)
        with quiet():
            blueprint = self.blueprint()
        module = blueprint.module.eval().requires_grad_(False)
        renamed = self.renamed(tensors, module)
        wt.fill(module, renamed, head=blueprint.head, source=file, network=self.architecture)
        preprocessing = (blueprint.geometry, blueprint.mean, blueprint.std)
        card = Card(self.architecture, wt.digest(module), *preprocessing, dim=self._measured(blueprint))
        if self._cards:
            remember(self._cards, self._note(file), asdict(card))
        return blueprint, card

    def _measured(self, blueprint: Blueprint) -> int:
        """Return the length of the vectors; raise `BadInput` if the network gives something else."""
        import torch

        side = blueprint.geometry.side
        with torch.no_grad(), quiet():
            out = blueprint.module(torch.zeros(1, 3, side, side))
        if not isinstance(out, torch.Tensor) or out.ndim != 2:
            raise BadInput(f"{self.architecture} gives no vectors (output {getattr(out, 'shape', type(out))})")
        return int(out.shape[1])

    # --- running it ---

    @cached_property
    def _running(self) -> tuple[Runtime, str | None]:
        """Return the runtime, and one clause about what could have been used and is not."""
        settings, card = self.settings, self.card
        device, idle = choose_device(settings.device)
        kind = device.partition(":")[0]
        check_precision(settings.precision, kind)
        model, failure = self._converted() if kind == "cpu" and has_openvino() else (None, None)
        blueprint = self._built[0] if model is None else None

        def make(precision: str) -> Runtime:
            if blueprint is None:
                return OpenVINORuntime(model, precision, batch_size=settings.batch_size)
            return TorchRuntime(blueprint, device, precision, batch_size=settings.batch_size)

        running = at_precision(
            make,
            settings.precision,
            side=card.geometry.side,
            key=f"{card.fingerprint} {'torch' if blueprint else 'openvino'} {cpu_model()}",
            notes=settings.cache / "probe.json" if settings.cache else None,
            can_bf16=kind == "cpu" and (blueprint is not None or openvino_has_bf16()),
        )
        # The module is in the runtime, or no longer needed.
        self.__dict__.pop("_built", None)
        return running, "; ".join(reason for reason in (idle, failure) if reason) or None

    def _converted(self) -> tuple[Any, str | None]:
        """Return the network for OpenVINO, from the cache if it is there, or None and the reason."""
        cache = self.settings.cache
        folder = cache / "models" / self.card.fingerprint if cache else None
        if folder and (model := read_converted(folder)):
            return model, None
        blueprint, card = self._built
        if card != self.card:
            raise self._mismatch(self.card.fingerprint, card.fingerprint)
        try:
            model = convert(blueprint)
        except Exception as error:  # The converter raises many kinds; torch runs whatever it cannot convert.
            return None, f"OpenVINO not used: {(str(error).splitlines() or [type(error).__name__])[0][:120]}"
        if folder:
            keep_converted(model, folder)
        return model, None

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what the vectors depend on in their last digits."""
        running, _ = self._running
        libraries = ("openvino",) if running.name == "openvino" else tuple(self.packages.values())
        return {
            "runtime": running.name,
            "device": running.device,
            "processor": cpu_model(),
            "precision": running.precision,
            "threads": running.threads,
            "batch_size": running.batch_size,
            "versions": versions(*libraries, "numpy", "pillow"),
        }

    @property
    def note(self) -> str:
        """Return one line: what it runs on and, if a GPU stays idle, why."""
        running, idle = self._running
        names = {"openvino": "OpenVINO", "torch": "torch"}
        where = f"{cpu_model()}, {running.threads} threads" if running.device == "cpu" else running.device
        line = f"{self.space}: {names[running.name]} {running.precision} on {where}"
        return f"{line}; {idle}" if idle else line

    def encode(self, images: Sequence[Pixels] | Pixels) -> Vectors:
        """Return float32 (n, dim), not of unit length, for uint8 (n, side, side, 3); call from one thread at a time.

        Raise `FingerprintMismatch`, `EncoderUnavailable`, or `BadInput` for weights that give no finite numbers.
        """
        side = self.card.geometry.side
        pixels = np.asarray(images, dtype=np.uint8) if len(images) else np.empty((0, side, side, 3), np.uint8)
        if pixels.shape[1:] != (side, side, 3):
            raise ValueError(f"{self.spec} takes pictures of shape {(side, side, 3)}, not {pixels.shape[1:]}")
        if not len(pixels):
            return np.empty((0, self.card.dim), np.float32)
        vectors = self._running[0].forward(pixels)
        if not np.isfinite(vectors).all():
            raise BadInput(f"{self.spec!r} gives numbers that are not finite", "use other weights or --precision fp32")
        return vectors
