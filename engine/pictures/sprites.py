"""Many small pictures as a few: sheets of 32 × 32 thumbnails, as small as a page can carry them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

ACROSS = 32
TILES = ACROSS * ACROSS
# Sides in pixels and WebP qualities, the best first.
LADDER = ((64, 70), (48, 75), (48, 60), (48, 45), (40, 45), (32, 45), (32, 30), (24, 30), (16, 30))


@dataclass(frozen=True)
class Sheet:
    """A WebP picture of up to 1,024 tiles of a `side`, and width and height of each picture, 0 × 0 for none."""

    data: bytes
    sizes: list[tuple[int, int]]


def sheet(pictures: Sequence[bytes | None], *, side: int, quality: int) -> Sheet:
    """Return the encoded `pictures`, in their order and proportions, each in the upper left corner of its tile."""
    rows = -(-len(pictures) // ACROSS)
    canvas = Image.new("RGB", (ACROSS * side, rows * side), "#808080")
    sizes = []
    for place, data in enumerate(pictures):
        small = _small(data, side)
        sizes.append(small.size if small else (0, 0))
        if small:
            canvas.paste(small, (place % ACROSS * side, place // ACROSS * side))
    buffer = BytesIO()
    canvas.save(buffer, "WEBP", quality=quality, method=4)
    return Sheet(buffer.getvalue(), sizes)


def _small(data: bytes | None, side: int) -> Image.Image | None:
    """Return a picture with its longest side at most `side`; None for what cannot be read."""
    if data is None:
        return None
    try:
        with Image.open(BytesIO(data)) as picture:
            # JPEG is decoded at a fraction of its size.
            picture.draft("RGB", (2 * side, 2 * side))
            small = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    if max(small.size) > side:
        small.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    return small


def fitting(sample: Sequence[bytes | None], count: int, *, budget: int) -> tuple[int, int]:
    """Return the best (side, quality) at which `count` pictures like those of `sample` take at most `budget` bytes.

    If none does it is the smallest. No tile is larger than the largest of the sample.
    """
    largest = max((max(one.size) for data in sample if (one := _small(data, LADDER[0][0]))), default=1)
    for side, quality in LADDER:
        side = min(side, largest)
        each = len(sheet(sample, side=side, quality=quality).data) / max(1, len(sample))
        if each * count <= budget:
            break
    return side, quality


def chunks(count: int) -> Iterator[slice]:
    """Yield which of `count` pictures go on each sheet."""
    return (slice(start, min(count, start + TILES)) for start in range(0, count, TILES))
