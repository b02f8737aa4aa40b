"""The forward pass through OpenVINO, on a CPU; a network is converted to it once and kept in the cache."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.encoders.base import Pixels, Vectors, quiet
from engine.encoders.blueprint import Blueprint
from engine.encoders.machine import cores
from engine.encoders.runtime import REQUEST
from engine.encoders.torch_runtime import TorchRuntime

if TYPE_CHECKING:
    import openvino

# Cosine between torch and a converted network, below which the conversion is not used.
FAITHFUL = 0.9999


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def import_openvino() -> Any:
    """Return the module `openvino`. The only place that imports it, because of its telemetry.

    Where `openvino_telemetry` cannot be imported it uses its own stub; else it writes into the home folder and reports.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    with quiet():
        import openvino
    return openvino


def openvino_has_bf16() -> bool:
    """Return whether OpenVINO offers bf16 on this processor; it may still be an emulation."""
    return "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINORuntime:
    """A converted network on the CPU: one stream a core, requests of a few pictures."""

    name = "openvino"
    device = "cpu"

    def __init__(self, model: openvino.Model, precision: str, *, batch_size: int | None = None) -> None:
        ov = import_openvino()
        self.precision = precision
        self.threads = cores()
        self.batch_size = batch_size or REQUEST
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": str(self.threads),
            "INFERENCE_NUM_THREADS": str(self.threads),
        }
        compiled = ov.Core().compile_model(model, "CPU", settings)
        self.dim = int(compiled.output(0).partial_shape[1].get_length())
        self._queue = ov.AsyncInferQueue(compiled, self.threads)
        self._queue.set_callback(self._collect)
        self._vectors: Vectors = np.empty((0, self.dim), np.float32)

    def forward(self, pixels: Pixels) -> Vectors:
        pixels = np.ascontiguousarray(pixels)
        # Requests end in any order; each one writes its own rows.
        self._vectors = np.empty((len(pixels), self.dim), np.float32)
        for start in range(0, len(pixels), self.batch_size):
            request = {0: pixels[start : start + self.batch_size]}
            self._queue.start_async(request, userdata=start, share_inputs=True)
        self._queue.wait_all()
        vectors, self._vectors = self._vectors, self._vectors[:0]
        return vectors

    def _collect(self, request: openvino.InferRequest, start: int) -> None:
        rows = request.get_output_tensor(0).data
        self._vectors[start : start + len(rows)] = rows


def convert(blueprint: Blueprint) -> openvino.Model:
    """Return `blueprint` as a network from uint8 (n, side, side, 3) to float32 (n, dim).

    Raise `RuntimeError` when the converted network does not compute what torch computes.
    """
    import torch

    ov = import_openvino()
    from openvino.preprocess import PrePostProcessor

    side = blueprint.geometry.side
    with quiet():
        # Tracing needs ordinary tensors: neither gradients nor inference mode.
        model = ov.convert_model(
            blueprint.module, example_input=torch.zeros(2, 3, side, side), input=[-1, 3, side, side]
        )
    steps = PrePostProcessor(model)
    picture = steps.input()
    picture.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    picture.model().set_layout(ov.Layout("NCHW"))
    mean, deviation = ([255.0 * value for value in values] for values in (blueprint.mean, blueprint.std))
    picture.preprocess().convert_element_type(ov.Type.f32).mean(mean).scale(deviation)
    model = steps.build()
    _compare(model, blueprint)
    return model


def _compare(model: openvino.Model, blueprint: Blueprint) -> None:
    """Raise `RuntimeError` unless both libraries agree on pictures of noise."""
    side = blueprint.geometry.side
    # Three, where the example had two: a network that was traced with its batch frozen shows here.
    noise = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    ours = OpenVINORuntime(model, "fp32").forward(noise).astype(np.float64)
    theirs = TorchRuntime(blueprint, "cpu", "fp32").forward(noise).astype(np.float64)
    if ours.shape != theirs.shape:
        raise RuntimeError(f"shape {ours.shape} instead of {theirs.shape}")
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosine = float(((ours * theirs).sum(axis=1) / np.maximum(norms, 1e-30)).min())
    if not cosine >= FAITHFUL:
        raise RuntimeError(f"cosine {cosine:.6f} to torch")


def read_converted(folder: Path) -> openvino.Model | None:
    """Return the network kept in `folder`, or None if there is none that can be read."""
    if not (folder / "network.xml").is_file():
        return None
    try:
        return import_openvino().Core().read_model(folder / "network.xml")
    except RuntimeError:
        # Damaged, or written by a newer OpenVINO: it can be made again.
        shutil.rmtree(folder, ignore_errors=True)
        return None


def keep_converted(model: openvino.Model, folder: Path) -> None:
    """Write `model` into `folder` in one step: a killed process leaves no half network, the first of two wins."""
    # What cannot be kept (read-only, disk full, another was first) is made again next time. OpenVINO reports a failed
    # write as RuntimeError.
    with contextlib.suppress(OSError, RuntimeError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(".new-*"):
            # Of a conversion that was killed; none takes an hour.
            if time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
            made = Path(scratch) / "network"
            made.mkdir()
            import_openvino().save_model(model, made / "network.xml", compress_to_fp16=False)
            made.rename(folder)
