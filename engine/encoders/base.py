"""What an encoder is: pictures in, vectors of one space out."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a picture becomes a square of `side` pixels: short side to `resize`, then the centre.

    With `squash` both sides become `resize`, whatever the picture's own proportions (SigLIP is trained so).
    """

    side: int
    resize: int
    interpolation: str = "bicubic"
    squash: bool = False

    def apply(self, image: Image.Image) -> Pixels:
        """Return `image` (RGB) as uint8 (side, side, 3).

        Resampling only the box that survives the crop gives the pixels of resize-then-crop, integer rounding
        included, for about half the work.
        """
        width, height = image.size
        scale = self.resize / min(width, height)
        # Truncation, as torchvision's and timm's resize do for the long side.
        full_width = self.resize if width <= height or self.squash else int(width * scale)
        full_height = self.resize if height <= width or self.squash else int(height * scale)
        left, top = round((full_width - self.side) / 2), round((full_height - self.side) / 2)
        to_x, to_y = width / full_width, height / full_height
        box = (left * to_x, top * to_y, (left + self.side) * to_x, (top + self.side) * to_y)
        resample = Image.Resampling[self.interpolation.upper()]
        return np.asarray(image.resize((self.side, self.side), resample, box=box))


@contextmanager
def quiet() -> Iterator[None]:
    """Let no library print a warning or a log line while the block runs."""
    root, level, sink = logging.getLogger(), logging.root.manager.disable, logging.NullHandler()
    # A bare `logging.warning()` in a library would otherwise install a handler that prints for the rest of the process.
    root.addHandler(sink)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        root.removeHandler(sink)


class Encoder(Protocol):
    """A member writes `space`, `dim` and `encode`; the rest has defaults in the base classes.

    Construction is free; weights load at the first `fingerprint` or `encode`.
    """

    @property
    def space(self) -> str:
        """Return the name of the space, in lower-case letters, digits and _."""
        ...

    @property
    def dim(self) -> int: ...

    @property
    def geometry(self) -> Geometry | None:
        """Return what a picture becomes before it is encoded, or None: pictures come as they are."""
        ...

    @property
    def fingerprint(self) -> str:
        """Return 12 hex digits of architecture, weights and preprocessing."""
        ...

    @property
    def recipe(self) -> dict[str, Any]:
        """Return what `engine.encoders.load` takes to make this encoder again."""
        ...

    @property
    def note(self) -> str:
        """Return one line: what it runs on and, if a GPU stays idle, why."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """Return what the run records: runtime, device, precision, library versions."""
        ...

    def encode(self, images: Sequence[Pixels] | Pixels) -> Vectors:
        """Return float32 (n, dim), not necessarily of unit length, for n uint8 RGB pictures.

        With a `geometry` the pictures are one uint8 array (n, side, side, 3); without one, a list of arrays (h, w, 3).
        """
        ...


def names_space(name: object) -> bool:
    """Say whether `name` can name a space: it becomes part of a file's name."""
    return isinstance(name, str) and re.fullmatch(r"[a-z0-9_]{1,64}", name) is not None


# An encoder without a geometry gets pictures of at most this longest side, so that memory has a bound.
FREE_SIDE = 1024


def prepared(geometry: Geometry | None, image: Image.Image) -> Pixels:
    """Return a decoded picture as the encoder with that `geometry` takes it."""
    if geometry is not None:
        return geometry.apply(image)
    if max(image.size) > FREE_SIDE:
        image = image.copy()
        image.thumbnail((FREE_SIDE, FREE_SIDE))
    return np.asarray(image)


# Large JPEGs are decoded at reduced size, but never below this short side: twice what most networks see, and the same
# for all of them, so that a vector does not depend on which encoders ran beside it.
DECODED_SIDE = 512


def decoding_side(geometries: Sequence[Geometry | None]) -> int:
    """Return the short side that decoding at reduced size must keep for all `geometries`."""
    return max([DECODED_SIDE, *(geometry.resize for geometry in geometries if geometry is not None)])
