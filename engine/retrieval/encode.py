"""Pictures that are not stored → vectors of a space, made by the encoders that made the space."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine import decode, encoders
from engine.encoders.base import Encoder, decoding_side, prepared
from engine.errors import BadInput
from engine.fused import components
from engine.store import Space, Store
from engine.store.vectors import unit
from engine.training import models

if TYPE_CHECKING:
    from PIL import Image

    Picture = str | PathLike[str] | Image.Image | NDArray[Any]


@dataclass(frozen=True)
class SpaceEncoder:
    """The encoders of a space: one, or those of the components with √weight."""

    parts: Sequence[tuple[Encoder, float]]

    @property
    def encoders(self) -> list[Encoder]:
        return [encoder for encoder, _ in self.parts]

    def encode(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Return the unit vectors (n, dim) of pictures: paths, PIL images, or uint8 (h, w), (h, w, 3) or (h, w, 4)."""
        side = decoding_side([encoder.geometry for encoder in self.encoders])
        images = [read_picture(picture, side) for picture in pictures]
        return self.joined(
            {one.space: one.encode([prepared(one.geometry, image) for image in images]) for one in self.encoders}
        )

    def joined(self, encoded: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return unit rows (n, dim) from what the encoder of each space made."""
        parts = [root * unit(encoded[encoder.space], encoder.space) for encoder, root in self.parts]
        return np.concatenate(parts, axis=1).astype(np.float32)


def encoder_of(store: Store, space: Space) -> SpaceEncoder:
    """Return what makes vectors of the space; raise `BadInput` if they were brought and nothing can make more."""
    parts = components(store, space) if space.encoder == "fused" else [(space, 1.0)]
    return SpaceEncoder([(_loaded(store, part), root) for part, root in parts])


def _loaded(store: Store, space: Space) -> Encoder:
    if space.encoder == "user":
        raise BadInput(
            f"space {space.name!r} holds vectors that were brought with --vectors: no encoder makes them of a picture",
            "search it with --id or --vector",
        )
    learnt = space.encoder.startswith("autoencoder:")
    return encoders.load(
        space.encoder,
        space=space.name,
        cache=store.cache,
        fingerprint=space.fingerprint,
        # Every machine can run fp32; a space made at another precision is met at this machine's best.
        precision="fp32" if store.precision(space) == "fp32" else "auto",
        remedy=f"train it again: {models.again(store, space)}" if learnt else None,
        **space.recipe,
    )


def read_picture(picture: Picture, side: int) -> Image.Image:
    """Return a picture as the eye sees it, RGB, its short side not reduced below `side`; raise `BadInput`."""
    if not isinstance(picture, str | PathLike):
        return _decoded(_as_png(picture), "the picture", "give a PIL image or a uint8 array (h, w, 3)", side)
    if not Path(picture).is_file():
        raise BadInput(f"{picture} is not a file", "name an image file")
    try:
        data = Path(picture).read_bytes()
    except OSError as error:
        raise BadInput(f"{picture}: {error.strerror}", "name an image file") from None
    return _decoded(data, str(picture), "name an image file", side)


def _decoded(data: bytes, name: str, remedy: str, side: int) -> Image.Image:
    try:
        return decode.decode(data, draft_side=side).image
    except decode.Rejected as reason:
        raise BadInput(f"{name}: {reason}", remedy) from None


def _as_png(picture: Any) -> bytes:
    """Return a picture in memory as a lossless file, so that transparency and depth mean what they mean on disk."""
    from PIL import Image, ImageOps

    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))):
            raise BadInput(
                f"an array {picture.dtype} {picture.shape} is no picture", "give uint8 (height, width, 3), RGB"
            )
        picture = Image.fromarray(picture) if picture.size else None
    if not isinstance(picture, Image.Image):
        raise BadInput(f"{type(picture).__name__} is no picture", "give a path, a PIL image or a uint8 array")
    upright = ImageOps.exif_transpose(picture)
    if upright.mode not in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        upright = upright.convert("RGB")
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
