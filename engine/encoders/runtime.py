"""The forward pass: which device, which library, which precision; pixels in, vectors out.

On a CPU OpenVINO runs where it is installed, torch otherwise; a GPU runs through torch. The GPU paths (CUDA, MPS) are
complete, but the machines this was developed on have neither, so they have not been run there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from engine.encoders.base import Pixels, Vectors, quiet
from engine.encoders.weights import recall, remember
from engine.errors import BadInput, EncoderUnavailable

if TYPE_CHECKING:
    import openvino
    from torch import Tensor

    from engine.encoders.network import Blueprint

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Below this bf16 is not worth the last digits of the vectors.
WORTHWHILE = 1.2
# Pictures a request. Measured with EfficientNet-Lite0 on 2 cores, one stream a core, CPU ms a picture at fp32 and bf16:
# requests of 1 5.8 and 3.5, of 4 5.7 and 3.1, of 8 6.1 and 3.3, of 16 6.4 and 3.7.
REQUEST = 4
TORCH_BATCH = {"cpu": 32, "cuda": 64, "mps": 64}
# Cosine between torch and a converted network, below which the conversion is not used.
FAITHFUL = 0.9999


class Runtime(Protocol):
    """One network on one device at one precision."""

    name: str
    device: str
    precision: str
    threads: int
    batch_size: int

    def forward(self, pixels: Pixels) -> Vectors:
        """Return float32 (n, dim) for uint8 (n, side, side, 3)."""
        ...


# --- the machine ---


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Return the processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def visible_gpu() -> str | None:
    """Return the kind of GPU this machine seems to have, found without importing torch."""
    if Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists() or shutil.which("nvidia-smi"):
        return "NVIDIA GPU"
    if Path("/dev/kfd").exists():
        return "AMD GPU"
    return "Apple GPU" if sys.platform == "darwin" and platform.machine() == "arm64" else None


def gpu_through_torch() -> tuple[str | None, str]:
    """Return the kind of device torch can use as a GPU, or None and the reason."""
    import torch

    with quiet():
        if torch.cuda.is_available():
            return "cuda", ""
        if torch.backends.mps.is_available():
            return "mps", ""
    if torch.version.cuda is None and torch.version.hip is None:
        return None, f"torch {torch.__version__} is built without CUDA"
    return None, f"torch {torch.__version__} finds no usable driver"


def choose_device(
    device: str = "auto",
    *,
    visible: Callable[[], str | None] = visible_gpu,
    usable: Callable[[], tuple[str | None, str]] = gpu_through_torch,
) -> tuple[str, str | None]:
    """Return the device to run on and, if a GPU is there and stays idle, one clause that says why.

    Raise `EncoderUnavailable` when the device that was asked for cannot be used, `BadInput` when there is no such kind.
    """
    kind = device.partition(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise BadInput(f"unknown device {device!r}", "use auto, cpu, cuda, cuda:N or mps")
    gpu = visible()
    if kind == "cpu":
        return "cpu", f"{gpu} not used: --device cpu" if gpu else None
    if kind == "auto" and gpu is None:
        return "cpu", None
    offered, reason = usable()
    if kind == "auto":
        return (offered, None) if offered else ("cpu", f"{gpu} not used: {reason}")
    if offered != kind:
        raise EncoderUnavailable(
            f"device {device!r} cannot be used: {reason or f'torch offers {offered}'}", "--device cpu"
        )
    return device, None


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of `packages`, read without importing them."""
    found = {}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


# --- OpenVINO ---


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


# --- torch ---


class TorchRuntime:
    """The network itself, channels last, in inference mode."""

    name = "torch"

    def __init__(self, blueprint: Blueprint, device: str, precision: str, *, batch_size: int | None = None) -> None:
        import torch

        self.device = device
        self.precision = precision
        self.kind = device.partition(":")[0]
        self.threads = torch.get_num_threads()
        self.batch_size = batch_size or TORCH_BATCH[self.kind]
        self._module = blueprint.module.to(device).to(memory_format=torch.channels_last)
        self._mean = torch.tensor(blueprint.mean, device=device).reshape(1, 3, 1, 1) * 255
        self._deviation = torch.tensor(blueprint.std, device=device).reshape(1, 3, 1, 1) * 255

    def forward(self, pixels: Pixels) -> Vectors:
        import torch

        vectors: list[Vectors] = []
        start = 0
        while start < len(pixels):
            try:
                vectors.append(self._batch(pixels[start : start + self.batch_size]))
            except RuntimeError as error:
                # CUDA raises a subclass, MPS the class itself.
                if "out of memory" not in str(error) or self.batch_size == 1:
                    raise
                self.batch_size //= 2
                if self.kind == "cuda":
                    torch.cuda.empty_cache()
                continue
            start += len(vectors[-1])
        return np.concatenate(vectors)

    def _batch(self, pixels: Pixels) -> Vectors:
        import torch

        low = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.inference_mode(), torch.autocast(self.kind, dtype=low or torch.bfloat16, enabled=low is not None):
            # NHWC seen as NCHW is what torch calls channels last: nothing moves.
            images: Tensor = torch.tensor(pixels, device=self.device).permute(0, 3, 1, 2).float()
            vectors: Vectors = self._module((images - self._mean) / self._deviation).float().cpu().numpy()
        return vectors


# --- precision ---


def check_precision(precision: str, kind: str) -> None:
    """Raise `BadInput` for a precision that does not exist or that the device kind lacks."""
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}", f"use one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and kind == "cpu":
        raise BadInput("precision fp16 needs a GPU", "use --precision fp32 or bf16")


def measured_speedup(slow: Runtime, fast: Runtime, side: int, *, rounds: int = 5, seconds: float = 3.0) -> float:
    """Return how many times faster `fast` is, from the best of a few interleaved turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (2 * REQUEST * cores(), side, side, 3), dtype=np.uint8)
    best = {id(slow): float("inf"), id(fast): float("inf")}
    for runtime in (slow, fast):
        runtime.forward(pixels[:REQUEST])
    started = time.perf_counter()
    for _ in range(rounds):
        for runtime in (slow, fast):
            turn = time.perf_counter()
            runtime.forward(pixels)
            best[id(runtime)] = min(best[id(runtime)], time.perf_counter() - turn)
        if time.perf_counter() - started > seconds:
            break
    return best[id(slow)] / best[id(fast)]


def at_precision(
    make: Callable[[str], Runtime],
    precision: str,
    *,
    side: int,
    key: str,
    notes: Path | None,
    can_bf16: bool,
    speedup: Callable[[Runtime, Runtime, int], float] = measured_speedup,
) -> Runtime:
    """Return the runtime at `precision`; `auto` is bf16 on a CPU where it is at least 1.2 times as fast as fp32.

    What was found is kept in `notes` under `key`, so that a store's vectors stay of one precision.
    """
    if precision != "auto":
        return make(precision)
    # A GPU is asked for half precision in so many words.
    if not can_bf16:
        return make("fp32")
    known = recall(notes).get(key) if notes else None
    if known in ("fp32", "bf16"):
        return make(known)
    full, half = make("fp32"), make("bf16")
    chosen = half if speedup(full, half, side) >= WORTHWHILE else full
    if notes:
        remember(notes, key, chosen.precision)
    return chosen
