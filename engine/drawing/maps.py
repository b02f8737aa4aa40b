"""Maps as pictures: coordinates are made or found, coloured, and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.drawing.coloured_map import Drawing
from engine.drawing.map_page import write_map
from engine.errors import BadInput
from engine.mapping.colouring import colouring
from engine.mapping.maps import make_map
from engine.pictures import map_page, png
from engine.pictures.scatter import scatter
from engine.progress import Progress
from engine.scratch import probe
from engine.store import ID_BYTES, Store
from engine.store.durable import disk_full, is_full


@dataclass(frozen=True)
class Drawn:
    """A map and the files that it was drawn into; `bytes` is the size of the page."""

    drawing: Drawing
    png: Path | None
    html: Path | None
    bytes: int | None

    def document(self) -> dict[str, Any]:
        """Return the keys of `engine map --json`."""
        one, groups = self.drawing.map, self.drawing.groups()
        sizes = groups.sizes().tolist()
        return {
            "space": one.space,
            "method": one.method,
            "rows": len(one),
            "png": str(self.png) if self.png else None,
            "html": str(self.html) if self.html else None,
            "html_bytes": self.bytes,
            "run": one.run,
            "fingerprint": one.fingerprint,
            "seed": one.seed,
            "sample": one.sample,
            "total": one.total,
            "images": one.images,
            "graph": one.graph,
            "reused": one.reused,
            "seconds": one.seconds,
            "color": self.drawing.by,
            "groups": dict(zip(groups.names, sizes, strict=False)) if self.drawing.by else None,
            "without": sizes[-1] if self.drawing.by else None,
        }


def draw(
    store: Store,
    *,
    method: str = "umap",
    space: str | None = None,
    sample: int | None = None,
    seed: int = 0,
    recompute: bool = False,
    by: str | None = None,
    truth: Path | None = None,
    picture: Path | None = None,
    page: Path | None = None,
    progress: Progress | None = None,
) -> Drawn:
    """Make or find a map, colour it `by` what `colouring` knows, and draw it as a `picture` (PNG) and a `page` (HTML).

    Everything is checked before anything is computed. Raises `BadInput`, `EmptySpace`.
    """
    for path, check in ((picture, png.check), (page, map_page.check)):
        if path is not None:
            check(path)
            _check_writable(path)
    # What it is to be coloured by is there, whoever is on the map.
    colouring(store, np.empty((0, ID_BYTES), np.uint8), by, truth_file=truth)
    made = make_map(store, method=method, space=space, sample=sample, seed=seed, recompute=recompute, progress=progress)
    drawing = Drawing(made, *colouring(store, made.ids, by, truth_file=truth))
    if picture is not None:
        heading = (drawing.by or "").partition(":")[0]
        scatter(made.xy, picture, title=drawing.title, note=drawing.note, by=drawing.colours, legend=heading)
    size = None
    if page is not None:
        with store.lock():
            size = write_map(store, drawing, page, progress=progress)
    return Drawn(drawing, picture, page, size)


def _check_writable(path: Path) -> None:
    refused = BadInput(f"'{path}' cannot be written", "name a file in a folder that is yours")
    if path.is_dir():
        raise refused
    try:
        probe(path.absolute().parent)
    except OSError as error:
        raise disk_full(path.absolute().parent) if is_full(error) else refused from error
