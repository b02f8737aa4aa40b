"""Pictures side by side with two lines under each, as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from engine.errors import BadInput
from engine.pictures import png

SIDE = 176  # of the square that a picture is fitted into
GAP = 20
FRAME = 3
CAPTION, DETAIL, TITLE = 14, 12, 20  # font sizes in pixels
LEAST = 0.7  # of its font size, to which a text that is too long may shrink before it is cut
LINE = 20
PITCH_X = SIDE + GAP
PITCH_Y = SIDE + 2 * LINE + GAP + 4

WHITE, PAPER, INK, QUIET, ACCENT = "#ffffff", "#f4f4f5", "#27272a", "#71717a", "#e8590c"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a grid: encoded bytes, an image, or None where there is none; an accent frames it in colour."""

    image: bytes | Image.Image | None
    caption: str
    detail: str = ""
    accent: bool = False


def grid(tiles: Sequence[Tile | None], path: Path, *, columns: int = 6, title: str | None = None) -> Path:
    """Write `tiles`, row by row, as a PNG at `path` and return `path`; a file that was there is replaced whole.

    None leaves its place empty.

    Raises:
        BadInput: `path` does not end in .png, its folder is missing or cannot be written, or `columns` is below 1.
    """
    check(path, columns)
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    top = GAP + (TITLE + GAP if title else 0)
    width = GAP + max(columns, 3 if title else 1) * PITCH_X  # a title needs some room
    canvas = Image.new("RGB", (width, top + rows * PITCH_Y), WHITE)
    draw = ImageDraw.Draw(canvas)
    if title:
        _write(draw, (GAP, GAP - 4), title, TITLE, INK, width=width - 2 * GAP)
    for position, tile in enumerate(tiles):
        row, column = divmod(position, columns)
        if tile is not None:
            _place(canvas, draw, tile, GAP + column * PITCH_X, top + row * PITCH_Y)
    png.save(path, canvas.save)
    return path


def fit(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Return `image` as RGB with its longest side at most `side`, in its own proportions.

    A picture that fits is enlarged by the largest whole factor, pixel by pixel, so that 28 × 28 stays crisp.
    """
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture)
    image = image.convert("RGB")
    longest = max(image.size)
    if longest <= side:
        factor = side // longest
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    return image.resize(size, Image.Resampling.LANCZOS)


def shorten(text: str, width: float, font: Font) -> str:
    """Return `text` on one line, cut with an ellipsis where it is wider than `width` pixels."""
    text = _drawable(text, font)[: int(width)]  # hardly a glyph is narrower than a pixel
    if font.getlength(text) <= width:
        return text
    ellipsis = _drawable("…", font)
    while text and font.getlength(text + ellipsis) > width:
        text = text[:-1]
    return text.rstrip() + ellipsis


@cache
def _font(size: int, wide: bool = False) -> Font:
    """Return Pillow's own font, or a `wide` one that also has the accented, Greek and Cyrillic letters it lacks."""
    package = find_spec("matplotlib") if wide else None  # found, not imported
    if package and package.origin:
        with suppress(OSError, ImportError):
            return ImageFont.truetype(Path(package.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", size - 1)
    return ImageFont.load_default(size)


def _drawable(text: str, font: Font) -> str:
    text = " ".join(text.split())
    if isinstance(font, ImageFont.FreeTypeFont):
        return text  # characters outside the font come out as boxes
    # Pillow without FreeType has a bitmap font that raises beyond Latin-1.
    return text.replace("…", "...").encode("latin-1", "replace").decode("latin-1")


def _write(
    draw: ImageDraw.ImageDraw, position: tuple[float, float], text: str, size: int, colour: str, *, width: float
) -> None:
    wide = not text.replace("·", "").isascii()
    font = _font(size, wide)
    for smaller in range(size - 1, round(LEAST * size) - 1, -1):
        if font.getlength(_drawable(text, font)[: int(width) + 1]) <= width:
            break
        font = _font(smaller, wide)
    draw.text(position, shorten(text, width, font), fill=colour, font=font)


def _place(canvas: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    square = (left, top, left + SIDE - 1, top + SIDE - 1)
    draw.rectangle(square, fill=PAPER)
    picture = _open(tile.image)
    if picture is None:
        draw.text((left + SIDE / 2, top + SIDE / 2), "no picture", QUIET, _font(DETAIL), anchor="mm")
    else:
        canvas.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
    if tile.accent:
        outside = (left - FRAME, top - FRAME, left + SIDE - 1 + FRAME, top + SIDE - 1 + FRAME)
        draw.rectangle(outside, outline=ACCENT, width=FRAME)
    below = top + SIDE + 6
    _write(draw, (left, below), tile.caption, CAPTION, ACCENT if tile.accent else INK, width=SIDE)
    _write(draw, (left, below + LINE), tile.detail, DETAIL, QUIET, width=SIDE)


def _open(image: bytes | Image.Image | None) -> Image.Image | None:
    if image is None or isinstance(image, Image.Image):
        return None if image is None else fit(image)
    try:
        with Image.open(BytesIO(image)) as picture:
            return fit(picture)
    except (OSError, SyntaxError, ValueError):
        return None  # bytes that cannot be shown are a tile without a picture, not the end of the grid


def check(path: Path, columns: int = 1) -> None:
    """Raise `BadInput` where no grid can be written."""
    if columns < 1:
        raise BadInput(f"a grid of {columns} columns cannot be drawn", "give 1 or more")
    png.check(path)
