"""Small pictures that a network can learn: a bright disc or square, somewhere, in one of two colours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from tests.engine.colour import write_tar

COLOURS = {"warm": (230, 90, 40), "cold": (40, 110, 220)}


def shapes(n: int, *, side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures uint8 (n, side, side, 3) and their classes (n,), 0 warm and 1 cold."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    pictures = np.empty((n, side, side, 3), np.uint8)
    classes = rng.integers(0, 2, n)
    for row in range(n):
        centre, radius = rng.uniform(side / 4, 3 * side / 4, 2), rng.uniform(side / 8, side / 3)
        away = np.abs(y - centre[0]), np.abs(x - centre[1])
        inside = np.hypot(*away) < radius if rng.random() < 0.5 else np.maximum(*away) < radius
        ground = np.full((side, side, 3), rng.integers(0, 80), np.uint8)
        pictures[row] = np.where(inside[..., None], list(COLOURS.values())[classes[row]], ground)
    return pictures, classes


def write_shapes(path: Path, n: int, *, seed: int = 0) -> Path:
    """Write a tar of n PNG pictures, warm/N.png and cold/N.png."""
    pictures, classes = shapes(n, seed=seed)
    names = [f"{list(COLOURS)[code]}/{row}.png" for row, code in enumerate(classes)]
    return write_tar(path, {name: png(one) for name, one in zip(names, pictures, strict=True)})


def png(pixels: np.ndarray) -> bytes:
    """Return pixels as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
