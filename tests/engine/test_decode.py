"""Pictures whose pixels are known by hand, through every format and mode; and bytes that are no pictures."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from engine.decode import DECODERS, FORMATS, Rejected, decode, thumbnail

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(data: bytes, **options: Any) -> NDArray[np.uint8]:
    return np.asarray(decode(data, **options).image)


def halves(width: int = 32, height: int = 16) -> Image.Image:
    """Left red, right blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for what Pillow cannot write: deep colour, and headers that lie."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in parts]
    return b"\x89PNG\r\n\x1a\n" + chunks[0] + extra + chunks[1] + chunks[2]


def test_the_formats_are_those_of_the_decoders() -> None:
    assert {decoder.format for decoder in DECODERS.values()} == set(FORMATS)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_the_pixels_back(format: str) -> None:
    image = noise(23, 11)
    picture = decode(encoded(image, format, **({"lossless": True} if format == "WEBP" else {})))
    assert (picture.format, picture.width, picture.height, picture.image.mode) == (format, 23, 11, "RGB")
    assert np.array_equal(np.asarray(picture.image), np.asarray(image))


def test_jpeg_and_gif() -> None:
    data = encoded(halves(), "JPEG", quality=95, subsampling=0)
    assert np.abs(pixels(data).astype(int) - np.asarray(halves())).max() <= 3
    assert np.array_equal(pixels(encoded(halves(), "GIF")), np.asarray(halves()))


@pytest.mark.parametrize(
    "mode, value, expected",
    [
        ("1", 1, WHITE),
        ("L", 77, (77, 77, 77)),
        ("LA", (0, 0), WHITE),
        ("LA", (0, 255), (0, 0, 0)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 0), WHITE),
        ("RGBA", (0, 0, 0, 128), (127, 127, 127)),
        ("I;16", 0x1234, (0x12, 0x12, 0x12)),
    ],
)
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_modes(format: str, mode: str, value: Any, expected: tuple[int, int, int]) -> None:
    assert pixels(encoded(Image.new(mode, (5, 4), value), format))[2, 3].tolist() == list(expected)


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (4, 2))
    image.putpalette([*RED, *BLUE, 0, 255, 0])
    image.putdata([0, 0, 1, 1, 2, 2, 0, 1])
    opaque = [[RED, RED, BLUE, BLUE], [(0, 255, 0), (0, 255, 0), RED, BLUE]]
    holed = [[RED, RED, WHITE, WHITE], [(0, 255, 0), (0, 255, 0), RED, WHITE]]
    assert np.array_equal(pixels(encoded(image, "PNG")), opaque)
    for format in ("PNG", "GIF"):
        assert np.array_equal(pixels(encoded(image, format, transparency=1)), holed)
    half = np.asarray(decode(encoded(image, "PNG", transparency=bytes([255, 128, 255]))).image)
    assert half[0, 2].tolist() == [127, 127, 255]


def test_colour_key() -> None:
    assert np.array_equal(pixels(encoded(halves(), "PNG", transparency=BLUE))[0, [0, 31]], [RED, WHITE])


@pytest.mark.parametrize("colour, channels, expected", [(2, 3, (0x12, 0x56, 0x9A)), (6, 4, (0x12, 0x56, 0x9A))])
def test_deep_colour_png(colour: int, channels: int, expected: tuple[int, ...]) -> None:
    row = b"\0" + struct.pack(">4H", 0x1234, 0x5678, 0x9ABC, 0xFFFF)[: 2 * channels]
    assert pixels(png(1, 1, depth=16, colour=colour, rows=row))[0, 0].tolist() == list(expected)


@pytest.mark.parametrize("white_is_zero, expected", [(False, 0x12), (True, 0xFF - 0x12)])
def test_deep_grey_tiff_both_ways_round(white_is_zero: bool, expected: int) -> None:
    data = encoded(Image.new("I;16", (3, 2), 0x1234), "TIFF", tiffinfo={262: 0 if white_is_zero else 1})
    assert TiffImageFile(io.BytesIO(data)).tag_v2[262] == (0 if white_is_zero else 1)
    assert pixels(data)[0, 0].tolist() == [expected] * 3


def test_wide_grey_is_taken_for_16_bits_or_refused() -> None:
    assert pixels(encoded(Image.new("I", (3, 2), 0xABCD), "TIFF"))[1, 2].tolist() == [0xAB] * 3
    for value in (-1, 65536):
        with pytest.raises(Rejected, match="no known white"):
            decode(encoded(Image.new("I", (3, 2), value), "TIFF"))
    with pytest.raises(Rejected, match="floating-point"):
        decode(encoded(Image.new("F", (3, 2), 0.5), "TIFF"))


# sRGB red is L* 54.3, a* 80.8, b* 69.9 under D50; in bytes L* * 2.55, a* + 128, b* + 128.
LAB_RED = (138, 209, 198)


def test_lab_tiff() -> None:
    found = pixels(encoded(Image.new("LAB", (2, 2), LAB_RED), "TIFF"))[0, 0].astype(int)
    assert np.abs(found - RED).max() <= 12


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format: str) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    assert np.abs(pixels(encoded(inks, format))[8, 8].astype(int) - RED).max() <= 3


def adobe_jpeg(image: Image.Image, transform: int) -> bytes:
    """The JPEG of `image` (CMYK) with another transform in its Adobe marker: 0 is CMYK, 2 is YCCK."""
    data = bytearray(encoded(image, "JPEG", quality=95))
    at = data.index(b"Adobe")
    data[at + 11] = transform
    return bytes(data)


def test_ycck() -> None:
    # Pillow stores 255 - value: Y, Cb, Cr, K = 200, 128, 128, 255. The decoder's first step gives 255 - 200 = 55 for
    # C, M and Y; Adobe's are inverted, so 200 of each ink and no black: grey 55.
    grey = adobe_jpeg(Image.new("CMYK", (16, 16), (55, 127, 127, 0)), 2)
    assert np.abs(pixels(grey)[8, 8].astype(int) - 55).max() <= 3
    plain = adobe_jpeg(Image.new("CMYK", (16, 16), (200, 200, 200, 0)), 0)
    assert np.abs(pixels(plain)[8, 8].astype(int) - 55).max() <= 3


def cmyk_profile(lab: tuple[int, int, int]) -> bytes:
    """A printer profile (ICC.1:2001-04, 6.5.8) under which inks look `lab`, and with full black on top black."""
    ramp = bytes(range(256))
    matrix = struct.pack(">9I", *(0x10000 if i % 4 == 0 else 0 for i in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + bytes([*lab, 0, 128, 128]) * 8 + ramp * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 128 + 16, len(table))
    size = 128 + len(tags) + len(table)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x02400000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    white = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)  # D50
    return (header.ljust(68, b"\0") + white).ljust(128, b"\0") + tags + table


def test_cmyk_through_its_profile() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    found = pixels(encoded(inks, "JPEG", icc_profile=cmyk_profile(LAB_RED)))[8, 8].astype(int)
    assert np.abs(found - RED).max() <= 12


def test_cmyk_with_a_damaged_profile_falls_back() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    wrong = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (b"broken" * 40, wrong):
        assert np.abs(pixels(encoded(inks, "JPEG", icc_profile=profile))[8, 8].astype(int) - RED).max() <= 3


CORNERS = {  # where the red half lies in the upright picture, for a stored picture with the red half at the left
    1: "left",
    2: "right",
    3: "right",
    4: "left",
    5: "top",
    6: "top",
    7: "bottom",
    8: "bottom",
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, format: str) -> None:
    stored = halves(64, 32)
    stored.paste(WHITE, (0, 0, 16, 16))  # the stored top left corner, to tell rotations from reflections
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(stored, format, exif=exif, quality=100, subsampling=0, lossless=True))
    sideways = orientation >= 5
    assert (picture.width, picture.height) == picture.image.size == ((32, 64) if sideways else (64, 32))
    assert not (picture.own_thumbnail and orientation > 1)
    found = np.asarray(picture.image).astype(int)
    # The EXIF standard by coordinates: which stored (row, column) the upright (0, 0) and its neighbours come from.
    rows, columns = np.indices(found.shape[:2])
    if sideways:
        rows, columns = columns, rows
    flip_rows = orientation in (3, 4, 7, 8) if not sideways else orientation in (6, 7)
    flip_columns = orientation in (2, 3) if not sideways else orientation in (7, 8)
    rows = 31 - rows if flip_rows else rows
    columns = 63 - columns if flip_columns else columns
    assert np.abs(found - np.asarray(stored).astype(int)[rows, columns]).max() <= 40
    third = {"left": found[16:, :8], "right": found[16:, -8:], "top": found[:8, :8], "bottom": found[-8:, :8]}
    side = third[CORNERS[orientation]].reshape(-1, 3)
    assert not (np.abs(side - BLUE).max(axis=1) < 40).any()


def test_damaged_exif_is_ignored() -> None:
    data = encoded(halves(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(data).image.size == (32, 16)
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decode(encoded(halves(), "JPEG", exif=exif)).image.size == (32, 16)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    picture = decode(data)
    assert np.abs(np.asarray(picture.image).astype(int) - RED).max() <= 3
    assert not picture.own_thumbnail


def test_more_pictures_behind_a_jpeg() -> None:
    data = encoded(halves(), "MPO", save_all=True, append_images=[Image.new("RGB", (32, 16), "lime")])
    picture = decode(data)
    assert picture.format == "JPEG"
    assert np.abs(np.asarray(picture.image)[8, [4, 28]].astype(int) - [RED, BLUE]).max() <= 3


def test_large_jpegs_are_reduced_but_not_below_the_draft_side() -> None:
    data = encoded(halves(4000, 2050), "JPEG", quality=60)
    picture = decode(data)
    assert (picture.width, picture.height) == (4000, 2050)
    assert picture.image.size == (1000, 513)  # a quarter; an eighth would have 257 rows
    assert decode(data, draft_side=2051).image.size == (4000, 2050)
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = decode(encoded(halves(2400, 1100), "JPEG", exif=exif))
    assert (sideways.width, sideways.height, sideways.image.size) == (1100, 2400, (550, 1200))


def test_idx_pixels() -> None:
    picture = decode(bytes(range(6)), shape=(2, 3))
    assert np.asarray(picture.image)[:, :, 1].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (picture.format, picture.width, picture.height) == ("IDX", 3, 2)
    small = Image.open(io.BytesIO(thumbnail(picture, bytes(range(6)))))
    assert (small.format, small.mode, np.asarray(small).tolist()) == ("PNG", "L", [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(Rejected, match="truncated: 5 bytes for 3 x 2 pixels"):
        decode(bytes(5), shape=(2, 3))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "^empty$"),
        (b"hello, world\n" * 9, r"^not an image \(starts with b'hello, w'\)$"),
        (b"RIFF\0\0\0\0AVI LIST", "^not an image"),
        (b"P6 1 1 255\n\0\0\0", "^not an image"),  # PPM: Pillow could, but it is not one of ours
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "^not an image"),
        (b"\xff\xd8\xff", "."),
        (b"BM", "."),
        (b"II*\0", "."),
    ],
)
def test_what_is_no_image(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        decode(data)


def test_pixel_limit_is_checked_before_decoding() -> None:
    bomb = png(60_000, 60_000, depth=8, colour=2, rows=bytes(1 << 20))
    with pytest.raises(Rejected, match=r"^3600000000 pixels, over --max-pixels 178956970$"):
        decode(bomb)
    data = encoded(halves(), "PNG")
    assert decode(data, max_pixels=512).width == 32
    with pytest.raises(Rejected, match=r"^512 pixels, over --max-pixels 511$"):
        decode(data, max_pixels=511)
    with pytest.raises(Rejected, match=r"^6 pixels, over --max-pixels 5$"):
        decode(bytes(6), shape=(2, 3), max_pixels=5)
    limit = Image.MAX_IMAGE_PIXELS
    decode(data)
    assert limit == Image.MAX_IMAGE_PIXELS == 89_478_485  # Pillow's own, untouched


@pytest.mark.parametrize("format", FORMATS)
def test_a_cut_file_is_rejected_unless_all_pixels_are_there(format: str) -> None:
    data = encoded(noise(40, 30), format)
    whole = pixels(data)
    accepted = 0
    for end in range(0, len(data), max(1, len(data) // 150)):
        try:
            found = pixels(data[:end])
        except Rejected:
            continue
        accepted += 1
        assert np.array_equal(found, whole)
    assert accepted <= 2
    if format == "JPEG":
        with pytest.raises(Rejected, match=r"^truncated: "):
            decode(data[:-2])


def test_own_thumbnail() -> None:
    small, large = noise(200, 100), noise(400, 300)
    jpeg = encoded(small, "JPEG")
    assert thumbnail(decode(jpeg), jpeg) is jpeg
    assert decode(encoded(small.convert("L"), "PNG")).own_thumbnail
    assert not decode(encoded(small, "BMP")).own_thumbnail
    assert not decode(encoded(large, "JPEG")).own_thumbnail
    assert not decode(encoded(small.convert("RGBA"), "PNG")).own_thumbnail
    assert not decode(encoded(noise(300, 300), "PNG")).own_thumbnail  # 270 kB
    data = encoded(large, "PNG")
    made = Image.open(io.BytesIO(thumbnail(decode(data), data)))
    assert (made.format, made.size) == ("JPEG", (256, 192))
    data = encoded(small, "BMP")
    made = Image.open(io.BytesIO(thumbnail(decode(data), data)))
    assert made.format == "PNG"
    assert np.array_equal(np.asarray(made), np.asarray(small))


def test_thumbnail_of_a_line() -> None:
    data = encoded(Image.new("RGB", (5000, 1), RED), "PNG")
    made = Image.open(io.BytesIO(thumbnail(decode(data), data)))
    assert made.size == (256, 1)
    assert np.abs(np.asarray(made)[0, 100].astype(int) - RED).max() <= 3


def test_thumbnail_of_a_turned_picture_is_upright_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(halves(), "PNG", exif=exif)
    made = Image.open(io.BytesIO(thumbnail(decode(data), data)))
    assert made.size == (16, 32)
    assert made.getexif().get(0x0112, 1) == 1


NOISY = """
import struct, sys
from engine.decode import Rejected, decode
entries = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 65535)]
tiff = b"II*\\0" + struct.pack("<IH", 8, len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
jpeg = open(sys.argv[1], "rb").read()
fax = open(sys.argv[2], "rb").read()
for data in (tiff, tiff[:40], fax, jpeg, jpeg[:200], jpeg[:-9]):
    try:
        decode(data)
    except Rejected:
        continue
"""


def test_pillow_prints_nothing(tmp_path: Path) -> None:
    jpeg, fax = tmp_path / "damaged.jpg", tmp_path / "damaged.tiff"
    jpeg.write_bytes(encoded(halves(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0garbage"))
    fax.write_bytes(encoded(noise(99, 99).convert("1"), "TIFF", compression="group4").replace(b"\x12", b"\xff"))
    # A process of its own, since pytest catches what the terminal would show.
    command = [sys.executable, "-c", NOISY + "print('still here', file=sys.stderr)", str(jpeg), str(fax)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "still here\n")


def seeds() -> list[bytes]:
    image = noise(24, 18)
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = image.convert("P")
    frames = [palette, halves(24, 18).convert("P")]
    return [
        encoded(image, "JPEG", exif=exif),
        encoded(image, "JPEG", progressive=True),
        encoded(image.convert("CMYK"), "JPEG"),
        encoded(image, "PNG"),
        encoded(palette, "PNG", transparency=3),
        encoded(Image.new("I;16", (9, 7), 999), "PNG"),
        encoded(image, "WEBP"),
        encoded(image.convert("RGBA"), "WEBP", lossless=True),
        encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        encoded(image, "BMP"),
        encoded(palette, "BMP"),
        encoded(image, "TIFF"),
        encoded(image, "TIFF", compression="tiff_lzw"),
        encoded(image.convert("1"), "TIFF", compression="group4"),
        encoded(image, "TIFF", compression="jpeg"),
    ]


SEEDS = seeds()
MAX_PIXELS = 1 << 20


def mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1) if rng.random() < 0.5 else rng.randrange(min(len(data), 64) + 1)
        match rng.randrange(4):
            case 0:  # flips
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:  # a cut out of the middle or off the end
                del data[at : at + rng.choice((1, 2, 7, len(data)))]
            case 2:  # a splice of another file
                other = rng.choice(SEEDS)
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + rng.randint(1, 200)]
            case 3:  # a large number
                data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"))
    return bytes(data)


@settings(max_examples=700, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**64))
def test_mutated_images_are_decoded_or_rejected(seed: int) -> None:
    data = mutated(random.Random(seed))
    try:
        picture = decode(data, max_pixels=MAX_PIXELS)
    except Rejected as rejected:
        assert rejected.reason
        assert "\n" not in rejected.reason
        return
    assert picture.image.mode == "RGB"
    assert picture.width * picture.height <= MAX_PIXELS
    assert np.asarray(picture.image).shape == (picture.image.height, picture.image.width, 3)
    assert max(decode(thumbnail(picture, data)).image.size) <= 320
