"""The machine: its cores, its processor, its GPUs, and which of them a network runs on."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.encoders.base import quiet
from engine.errors import BadInput, EncoderUnavailable


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
