"""A space whose answers can be worked out by hand, and pictures for it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

SPEC = "tests.engine.colour:ColourEncoder"
RED, GREEN, BLUE, GREY, OLIVE = (200, 0, 0), (0, 150, 0), (0, 0, 250), (90, 90, 90), (120, 160, 0)


class ColourEncoder:
    """The mean red, green and blue of a picture."""

    space = "colour"
    dim = 3
    fingerprint = "c0104ec0104e"

    def encode(self, images):
        return np.array([image.reshape(-1, 3).mean(axis=0) for image in images], np.float32).reshape(-1, 3)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (12, 8), form: str = "PNG") -> bytes:
    """Return the bytes of a picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, form)
    return buffer.getvalue()


def unit(colour: tuple[int, int, int]) -> np.ndarray:
    """Return the vector that a picture of one colour must have."""
    return np.array(colour) / np.linalg.norm(colour)


def write_tar(path: Path, files: Mapping[str, bytes], *others: tarfile.TarInfo) -> Path:
    """Write a plain tar of `files`, then the headers `others`."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
        for header in others:
            tar.addfile(header)
    return path


class Notes:
    """Keeps what a run says to its user."""

    def __init__(self):
        self.notes = []

    def begin(self, what, total, unit="images"):
        pass

    def advance(self, images, rejected=0):
        pass

    def stand(self, text):
        pass

    def note(self, text):
        self.notes.append(text)
