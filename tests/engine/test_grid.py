from __future__ import annotations

import errno
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from engine.errors import BadInput
from engine.pictures.grid import ACCENT, FRAME, GAP, PAPER, PITCH_X, PITCH_Y, SIDE, TITLE, Tile, fit, grid, shorten
from engine.pictures.png import save

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def colour(name: str) -> tuple[int, ...]:
    return Image.new("RGB", (1, 1), name).getpixel((0, 0))


def plain(rgb: tuple[int, int, int], size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    return Image.new("RGB", size, rgb)


def png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def draw(tmp_path: Path, tiles: list[Tile], **options) -> Image.Image:
    path = grid(tiles, tmp_path / "out.png", **options)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.convert("RGB")


def centre(position: int, columns: int, top: int = GAP) -> tuple[int, int]:
    row, column = divmod(position, columns)
    return GAP + column * PITCH_X + SIDE // 2, top + row * PITCH_Y + SIDE // 2


def test_tiles_stand_row_by_row(tmp_path):
    tiles = [Tile(plain(BLUE), "") for _ in range(5)]
    tiles[3] = Tile(png(plain(RED)), "red")
    picture = draw(tmp_path, tiles, columns=3)
    assert picture.size == (GAP + 3 * PITCH_X, GAP + 2 * PITCH_Y)
    assert [picture.getpixel(centre(i, 3)) for i in range(6)] == [BLUE, BLUE, BLUE, RED, BLUE, WHITE]


def test_a_title_moves_the_tiles_down(tmp_path):
    picture = draw(tmp_path, [Tile(plain(RED), "")], title="one")
    top = 2 * GAP + TITLE
    assert picture.getpixel((GAP, top)) == RED
    assert picture.getpixel((GAP, top - 1)) == WHITE
    assert picture.crop((0, 0, picture.width, top)).getextrema() != ((255, 255),) * 3


def test_a_wide_picture_is_letterboxed(tmp_path):
    picture = draw(tmp_path, [Tile(plain(RED, (800, 400)), "")])
    x, y = centre(0, 1)
    column = [picture.getpixel((x, row)) for row in range(GAP, GAP + SIDE)]
    assert column.count(RED) == SIDE // 2
    assert column.count(colour(PAPER)) == SIDE // 2
    assert column[:3] == column[-3:] == [colour(PAPER)] * 3
    assert picture.getpixel((x, y)) == RED


@pytest.mark.parametrize(("size", "factor"), [((28, 28), 6), ((32, 32), 5), ((8, 8), 22), ((100, 60), 1), ((1, 88), 2)])
def test_small_pictures_grow_by_whole_factors(size, factor):
    width, height = size
    small = Image.new("RGB", size)
    small.putdata([((7 * i) % 256, (11 * i) % 256, (13 * i) % 256) for i in range(width * height)])
    large = fit(small)
    assert large.size == (width * factor, height * factor)
    for x, y in [(0, 0), (width - 1, height - 1), (width // 2, height // 3)]:
        block = large.crop((x * factor, y * factor, (x + 1) * factor, (y + 1) * factor))
        assert block.getcolors() == [(factor * factor, small.getpixel((x, y)))]


def test_extreme_proportions_keep_one_pixel():
    assert fit(plain(RED, (5000, 2))).size == (SIDE, 1)


def test_transparency_lies_on_white():
    assert fit(Image.new("RGBA", (SIDE, SIDE), (255, 0, 0, 0))).getpixel((0, 0)) == WHITE


def test_the_accent_is_a_frame_around_the_tile(tmp_path):
    tiles = [Tile(plain(BLUE), "query", accent=True), Tile(plain(BLUE), "hit")]
    picture = draw(tmp_path, tiles)
    assert picture.getpixel((GAP - FRAME, GAP - FRAME)) == colour(ACCENT)
    assert picture.getpixel((GAP, GAP)) == BLUE
    assert picture.getpixel((GAP + PITCH_X - FRAME, GAP - FRAME)) == WHITE


@pytest.mark.parametrize("image", [None, b"", b"no picture at all", png(Image.new("RGB", (40, 40)))[:60]])
def test_a_tile_without_a_picture_is_grey_and_says_so(tmp_path, image):
    picture = draw(tmp_path, [Tile(image, "gone")])
    tile = picture.crop((GAP, GAP, GAP + SIDE, GAP + SIDE))
    assert tile.getpixel((0, 0)) == colour(PAPER)
    empty = Image.new("RGB", tile.size, PAPER)
    assert tile.tobytes() != empty.tobytes()


def test_captions_stay_under_their_tile(tmp_path):
    tiles = [Tile(None, "w" * 300, "w" * 300), Tile(None, "")]
    picture = draw(tmp_path, tiles)
    between = picture.crop((GAP + SIDE, GAP, GAP + PITCH_X, picture.height))
    assert between.getcolors() == [(between.width * between.height, WHITE)]
    under = picture.crop((GAP, GAP + SIDE, GAP + SIDE, picture.height))
    assert len(under.getcolors()) > 1


def test_shorten_keeps_what_fits_and_no_less():
    font = ImageFont.load_default(14)
    text = "a/long/path/of/folders/photo.jpeg"
    whole = font.getlength(text)
    assert shorten(text, whole, font) == text
    cut = shorten(text, whole - 1, font)
    assert cut[-1] == "…"
    assert text.startswith(cut[:-1])
    assert font.getlength(cut) <= whole - 1
    longer = text[: len(cut)] + "…"
    assert font.getlength(longer) > whole - 1
    assert shorten("two\nlines\there", 500, font) == "two lines here"


def test_shorten_works_with_the_bitmap_font():
    font = ImageFont.load_default_imagefont()
    assert shorten("猫.jpg", 500, font) == "?.jpg"
    assert shorten("x" * 80, 100, font).endswith("...")


@pytest.mark.parametrize("caption", ["图片/猫.jpg", "é ß −1 ≥ Ω Ж", "\U0001f33b", "\x00\x1b[31m", "\udcff", "", "שלום"])
def test_any_name_can_be_drawn(tmp_path, caption):
    assert draw(tmp_path, [Tile(plain(RED), caption, caption)], title=caption).getpixel((GAP, GAP + 60)) == RED


def test_no_tiles_are_an_empty_page(tmp_path):
    picture = draw(tmp_path, [], columns=4)
    assert picture.getcolors() == [(picture.width * picture.height, WHITE)]


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [("out.jpg", 6, "not a PNG name"), ("none/out.png", 6, "no folder"), ("out.png", 0, "0 columns")],
)
def test_what_cannot_be_drawn_is_refused(tmp_path, name, columns, message):
    with pytest.raises(BadInput, match=message) as caught:
        grid([Tile(None, "")], tmp_path / name, columns=columns)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(tmp_path):
    (tmp_path / "out.png").mkdir()
    with pytest.raises(BadInput, match="cannot be written"):
        grid([Tile(None, "")], tmp_path / "out.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]


def test_a_read_only_folder_is_told_by_the_name_that_was_asked_for(tmp_path, monkeypatch):
    def refused(path, **_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(BadInput) as caught:
        save(tmp_path / "x.png", refused)
    assert caught.value.message == f"'{tmp_path / 'x.png'}' cannot be written: Read-only file system"


def test_a_picture_is_replaced_by_a_new_file(tmp_path):
    path = tmp_path / "out.png"
    grid([Tile(plain(BLUE), "")], path)
    with path.open("rb") as held:
        before = held.read()
        held.seek(0)
        grid([Tile(plain(RED), "")], path)
        # The old file was not written over: who holds it still reads it whole.
        assert held.read() == before
    assert path.read_bytes() != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.png"]
