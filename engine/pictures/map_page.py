"""A map as one HTML file that needs no network: points, names and thumbnails lie in it, and the browser draws them.

The page's own code is in `map_viewer/`. Its policy lets nothing run but that code, and lets nothing be loaded: a name
that holds markup is a name.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.pictures.palette import Groups
from engine.pictures.sprites import ACROSS, TILES, Sheet

VIEWER = Path(__file__).with_name("map_viewer")
QUIET = "#9d9da6"


@dataclass(frozen=True)
class Points:
    """What is on a map: `xy` float32 (n, 2), a name each, and what it is coloured by.

    `ids` gives, by place, what an image is called where its name is not enough. `sizes` are width and height of each
    thumbnail, `side` that of the tiles they lie in.
    """

    xy: NDArray[np.float32]
    names: Sequence[str]
    groups: Groups
    ids: Mapping[int, str]
    sizes: Sequence[tuple[int, int]]
    side: int


def check(path: Path) -> None:
    """Raise `BadInput` if no page can be written at `path`."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise BadInput(f"'{path}' is not the name of a page", f"name it '{path.parent / (path.stem or 'map')}.html'")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"there is no folder '{path.parent}'", f"mkdir -p '{path.parent}'")


def write_page(file: TextIO, points: Points, sheets: Iterable[Sheet], *, title: str, note: str, by: str) -> None:
    """Write the page into `file`: the viewer with its data, then the sheets, which a browser reads last."""
    style, script = ((VIEWER / f"viewer.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    policy = "; ".join(
        [
            "default-src 'none'", "img-src data:", f"script-src '{_digest(script)}'", f"style-src '{_digest(style)}'",
            "base-uri 'none'", "form-action 'none'",
        ]
    )  # fmt: skip
    parts: dict[str, Callable[[], str]] = {
        "policy": lambda: policy,
        "title": lambda: html.escape(title),
        "style": lambda: style,
        "script": lambda: script,
        "data": lambda: _json(_document(points, title, note, by)),
    }
    template = (VIEWER / "viewer.html").read_text(encoding="utf-8")
    file.write(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]](), template))
    for number, one in enumerate(sheets):
        file.write(f'<script type="text/plain" id="sheet-{number}">{_base64(one.data)}</script>\n')
    file.write("</body>\n</html>\n")


def _document(points: Points, title: str, note: str, by: str) -> dict[str, object]:
    groups, sizes = points.groups, points.groups.sizes()
    entries = [
        {"name": name, "colour": groups.colours[code % len(groups.colours)], "count": int(sizes[code])}
        for code, name in enumerate(groups.names)
    ]
    nothing = -1
    if sizes[-1]:
        nothing = len(entries)
        entries.append({"name": groups.without, "colour": QUIET, "count": int(sizes[-1])})
    codes = np.where(groups.codes < 0, max(nothing, 0), groups.codes)
    return {
        "title": title,
        "note": note,
        "by": by,
        "names": list(points.names),
        "ids": {str(place): name for place, name in points.ids.items()},
        "xy": _base64(points.xy.astype("<f4").tobytes()),
        "codes": _base64(codes.astype("<u2").tobytes()),
        "groups": entries,
        "nothing": nothing,
        # Where there is one group the title says what it is; ranges lie side by side anyway.
        "named": len(groups.names) > 1 and not groups.ranges,
        "sides": _base64(np.array(points.sizes, np.uint8).tobytes()),
        "side": points.side,
        "across": ACROSS,
        "tiles": TILES,
    }


def _json(document: dict[str, object]) -> str:
    # In ASCII, and without what could end the element that holds it.
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _digest(text: str) -> str:
    return f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}"
