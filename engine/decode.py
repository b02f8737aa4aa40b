"""Bytes to an upright RGB picture, or the reason why not. Everything here holds for hostile bytes."""

from __future__ import annotations

import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

# Pillow's own error limit: twice the 1 GiB / 4 bytes / 3 bands above which it warns.
DEFAULT_MAX_PIXELS = 178_956_970
THUMBNAIL_SIDE = 256
OWN_THUMBNAIL_SIDE = 320  # below this, encoding again at 256 px would lose a generation and save little
OWN_THUMBNAIL_BYTES = 64 * 1024

# The first bytes of a format and the one class that reads it. Calling the class, and not Image.open, means that no
# other decoder is tried, that a JPEG with more pictures behind the first (MPO) stays a JPEG, and that the pixel limit
# below is the only one, without changing Pillow's limit for the rest of the process.
DECODERS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"GIF87a": GifImageFile,
    b"GIF89a": GifImageFile,
    b"BM": BmpImageFile,
    b"II*\0": TiffImageFile,
    b"MM\0*": TiffImageFile,
    b"II+\0": TiffImageFile,
    b"MM\0+": TiffImageFile,
}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# EXIF 2.32, tag 0x0112: what to do to the stored picture to see it upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_STDERR = threading.Lock()

# Without a handler of its own, Pillow's log of damaged TIFFs would reach the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Rejected(Exception):
    """The bytes do not become a picture; the message is the reason, in one line."""

    def __init__(self, reason: str) -> None:
        super().__init__(" ".join(reason.split()))

    @property
    def reason(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture. `width` and `height` are those of the full picture, even if `image` is a reduced one."""

    image: Image.Image
    width: int
    height: int
    format: str
    own_thumbnail: bool


def decode(
    data: bytes,
    *,
    shape: tuple[int, int] | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    draft_side: int = 512,
) -> Picture:
    """Return the picture in `data`, as the eye sees it; raise `Rejected` with the reason and nothing else.

    A JPEG may come out at 1/2, 1/4 or 1/8 of its size, as long as its short side stays at `draft_side` or above (the
    discrete cosine transform gives these for free). Of an animation it is the first frame. With a `shape` (height,
    width), `data` is bare 8-bit grey pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            if shape is not None:
                return _bare(data, shape, max_pixels)
            return _decode(data, max_pixels, draft_side)
    except Rejected:
        raise
    # Decoders fail on damaged bytes with whatever their parser stumbled over: OSError, SyntaxError, ValueError,
    # struct.error, IndexError, KeyError, ZeroDivisionError, MemoryError ... The list has no end, the answer is one.
    except Exception as error:
        raise Rejected(_reason(error)) from error


def thumbnail(picture: Picture, data: bytes) -> bytes:
    """Return an image file to show in place of `data`: its own bytes, a JPEG of 256 px or, if tiny, a PNG."""
    if picture.own_thumbnail:
        return data
    buffer = io.BytesIO()
    if max(picture.image.size) <= OWN_THUMBNAIL_SIDE:
        grey = picture.format == "IDX"
        (picture.image.convert("L") if grey else picture.image).save(buffer, "PNG", icc_profile=None)
    else:
        scale = THUMBNAIL_SIDE / max(picture.image.size)
        width, height = (max(1, round(side * scale)) for side in picture.image.size)
        small = picture.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
        small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _decode(data: bytes, max_pixels: int, draft_side: int) -> Picture:
    image = _open(data)
    _check_pixels(*image.size, max_pixels)
    width, height = image.size
    if image.format == "JPEG":
        image.draft(None, (draft_side, draft_side))
    with _quiet_libtiff() if image.format == "TIFF" else nullcontext():
        image.load()
    orientation = _orientation(image)  # after loading: the EXIF block of a PNG may follow its pixels
    if image.format == "TIFF":  # turned upright by its own loader
        width, height = image.size
    own = orientation == 1 and _serves_as_thumbnail(image, data)
    upright = _rgb(image)
    if orientation != 1:
        upright = upright.transpose(UPRIGHT[orientation])
        if orientation >= 5:
            width, height = height, width
    return Picture(upright, width, height, str(image.format), own)


def _bare(data: bytes, shape: tuple[int, int], max_pixels: int) -> Picture:
    height, width = shape
    _check_pixels(width, height, max_pixels)
    if len(data) != width * height:
        raise Rejected(f"truncated: {len(data)} bytes for {width} x {height} pixels")
    return Picture(Image.frombytes("L", (width, height), data).convert("RGB"), width, height, "IDX", False)


@contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: libtiff writes its complaints there itself, past every Python handler."""
    with _STDERR:  # two threads at once could each restore the other's nowhere
        try:
            stderr = os.dup(2)
        except OSError:  # closed, as in a daemon: nothing to keep quiet
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            os.close(nowhere)


def _open(data: bytes) -> ImageFile:
    if not data:
        raise Rejected("empty")
    decoder = next((decoder for magic, decoder in DECODERS.items() if data.startswith(magic)), None)
    if decoder is None or (decoder is WebPImageFile and data[8:12] != b"WEBP"):
        raise Rejected(f"not an image (starts with {data[:8]!r})")
    return decoder(io.BytesIO(data))


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise Rejected(f"{width * height} pixels, over --max-pixels {max_pixels}")
    if width < 1 or height < 1:
        raise Rejected(f"no pixels: {width} x {height}")


def _orientation(image: ImageFile) -> int:
    # TIFF files have the tag too, but their loader acts on it.
    if "exif" not in image.info or image.format == "TIFF":
        return 1
    exif = Image.Exif()
    try:
        exif.load(image.info["exif"])
        value = exif.get(ExifTags.Base.Orientation, 1)
    # A damaged EXIF block (any error of its parser) is no reason to refuse the pixels beside it.
    except Exception:
        return 1
    return value if value in UPRIGHT else 1


def _serves_as_thumbnail(image: ImageFile, data: bytes) -> bool:
    return (
        len(data) <= OWN_THUMBNAIL_BYTES
        and max(image.size) <= OWN_THUMBNAIL_SIDE
        and image.format in ("JPEG", "PNG", "WEBP", "GIF")
        and image.mode in ("RGB", "L")
        and "transparency" not in image.info
        and not getattr(image, "is_animated", False)
    )


def _rgb(image: ImageFile) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_deep_grey(image)
    if image.mode == "F":
        raise Rejected("floating-point pixels, which have no known white")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    if image.mode == "RGB":
        return image
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        return _from_profile(image)
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _from_deep_grey(image: ImageFile) -> Image.Image:
    """Scale grey levels of 9 to 16 bits to 8; `I` holds 32 bits, but files put 16 into it."""
    levels = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    bits = 12 if tags.get(ExifTags.Base.BitsPerSample, (16,))[0] == 12 else 16
    if levels.min() < 0 or levels.max() >= 1 << bits:
        raise Rejected(f"grey levels from {levels.min()} to {levels.max()}, which have no known white")
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0 and image.mode != "I":  # white is zero
        levels = (1 << bits) - 1 - levels
    return Image.fromarray((levels >> (bits - 8)).astype(np.uint8)).convert("RGB")


def _from_profile(image: ImageFile) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    # A damaged profile, or one for another colour model, must not cost the picture.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB")
    return converted or image.convert("RGB")


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    cut = isinstance(error, EOFError) or "truncated" in text.lower()
    return f"truncated: {text}" if cut else f"unreadable: {text}"
