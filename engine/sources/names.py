"""What the name of a file says: clutter, image, sidecar, group; and names that must not be believed."""

from __future__ import annotations

import re

IMAGE_EXTENSIONS = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"))
# The text files that WebDataset shards and image-caption downloads put beside an image.
SIDECAR_EXTENSIONS = frozenset(("txt", "text", "caption", "cls", "id", "json"))
TABLE_EXTENSIONS = frozenset(("csv", "tsv"))


def suffix(name: str) -> str:
    """Return what follows the last dot of the base name, in lower case, or an empty string."""
    base = name.rpartition("/")[2].lstrip(".")
    return base.rpartition(".")[2].lower() if "." in base else ""


def key(name: str) -> tuple[str, str]:
    """Return (key, extension), cut at the first dot of the base name: the grouping rule of WebDataset."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    if not stem:  # a hidden file has no group
        return name, ""
    return folder + slash + stem, extension.lower()


def is_clutter(name: str) -> bool:
    """Tell whether the file is skipped uncounted: AppleDouble, or a table that lies beside the images."""
    parts = name.split("/")
    return parts[-1].startswith("._") or "__MACOSX" in parts[:-1] or suffix(name) in TABLE_EXTENSIONS


def leaves_archive(name: str) -> bool:
    r"""Tell whether unpacking `name` could write elsewhere: `/x`, `../x`, `C:\x`."""
    parts = name.replace("\\", "/").split("/")
    return not parts[0] or ".." in parts or re.match(r"[A-Za-z]:[\\/]", name) is not None


def printable(name: str) -> str:
    r"""Return `name` as valid Unicode: bytes that are not UTF-8 are spelled out (`\xe9`)."""
    # Python hides such bytes in lone surrogates, which no table column takes.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
