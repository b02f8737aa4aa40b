"""Which versions of what a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import engine

LIBRARIES = ("torch", "torchvision", "openvino", "timm", "open_clip_torch", "pillow", "numpy", "pylance", "faiss-cpu")


def versions() -> dict[str, str]:
    """Return the versions of the engine, of Python and of every library that can change a vector."""
    found = {"engine": engine.__version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
