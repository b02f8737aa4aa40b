"""Near duplicates: which pairs of altered photos a threshold finds, with the bundled network.

Each photo is re-encoded, resized, cropped and brightened. A pair is right if both are made of the same photo, so that
true near duplicates within the data set count as wrong: precision is a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from benchmarks.job import Job, Settings
from benchmarks.suites.measures import photos, report, whole
from engine import decode, encoders
from engine.encoders.base import Vectors, prepared
from engine.progress import Progress
from engine.sources import open_source
from engine.store.vectors import unit

__all__ = ["jobs", "report"]

PHOTOS = 300
SEED = 0
THRESHOLDS = tuple(round(0.90 + 0.01 * step, 2) for step in range(10))


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return the picture as JPEG."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resized(image: Image.Image, share: float) -> bytes:
    """Return the picture with its sides at `share` of their length."""
    size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
    return jpeg(image.resize(size, Image.Resampling.LANCZOS), 90)


def cropped(image: Image.Image, share: float) -> bytes:
    """Return the middle of the picture: `share` of each side's length is cut away, half of it at each end."""
    x, y = image.width * share / 2, image.height * share / 2
    return jpeg(image.crop((round(x), round(y), round(image.width - x), round(image.height - y))), 90)


def brightened(image: Image.Image, factor: float) -> bytes:
    """Return the picture with all values times `factor`."""
    return jpeg(ImageEnhance.Brightness(image).enhance(factor), 90)


ALTERED: dict[str, Callable[[Image.Image], bytes]] = {
    "quality 90": lambda image: jpeg(image, 90),
    "quality 60": lambda image: jpeg(image, 60),
    "quality 30": lambda image: jpeg(image, 30),
    "half the size": lambda image: resized(image, 0.5),
    "cropped 5 %": lambda image: cropped(image, 0.05),
    "cropped 10 %": lambda image: cropped(image, 0.10),
    "cropped 20 %": lambda image: cropped(image, 0.20),
    "brighter × 1.3": lambda image: brightened(image, 1.3),
}


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("duplicates", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield, for each threshold, precision and recall over all pairs, and recall of (photo, altered) by alteration."""
    found = photos(settings)
    members = [member.data for member in open_source(found.sources[0]).members() if member.data]
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(members))[:PHOTOS])
    vectors = _vectors([members[place] for place in chosen], scratch)
    versions = 1 + len(ALTERED)
    S = _cosines(vectors)
    family = np.arange(len(vectors)) // versions
    right = np.triu(family[:, None] == family, 1)
    for threshold in THRESHOLDS:
        pairs = np.triu(threshold <= S, 1)
        hits = int((pairs & right).sum())
        own = S.reshape(len(chosen), versions, len(chosen), versions)[
            np.arange(len(chosen)), 0, np.arange(len(chosen)), 1:
        ]
        yield {
            "dataset": found.name,
            "pixels": found.pixels,
            "space": "efficientnet_lite0",
            "photos": len(chosen),
            "seed": SEED,
            "params": {"threshold": threshold},
            "pairs": int(pairs.sum()),
            "precision": round(hits / max(1, int(pairs.sum())), 4),
            "recall": round(hits / int(right.sum()), 4),
            "recall_by_alteration": dict(
                zip(ALTERED, (threshold <= own).mean(axis=0).round(4).tolist(), strict=True)
            ),
        }  # fmt: skip


def _vectors(photos: list[bytes], scratch: Path) -> Vectors:
    """Return the vectors of each photo followed by those of its altered copies."""
    encoder = encoders.load("efficientnet_lite0", precision="fp32", cache=scratch)
    parts = []
    for raw in photos:
        photo = Image.open(BytesIO(raw)).convert("RGB")
        files = [raw, *(alter(photo) for alter in ALTERED.values())]
        parts.append(encoder.encode([prepared(encoder.geometry, decode.decode(one).image) for one in files]))
    return unit(np.concatenate(parts), "measured")


def _cosines(X: Vectors) -> NDArray[np.float64]:
    return X.astype(np.float64) @ X.astype(np.float64).T
