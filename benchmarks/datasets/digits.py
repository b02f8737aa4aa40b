"""The digits that scikit-learn ships: 1,797 grey pictures of 8 × 8 pixels (Alpaydin & Kaynak 1998, UCI)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.base import AS_PUBLISHED, Found, Place
from benchmarks.datasets.pack import pack

QUICK = 300
# Sixteen levels of grey, spread over a byte.
STEP = 15.9375


class Digits:
    """There without a download; no splits. `quick` takes the first 300."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, place: Place) -> Found:
        """Return the pictures as PNG files in a folder a class."""
        collection = "digits-quick" if place.quick else self.name
        tar = place.scratch / f"{collection}.tar"
        if not tar.is_file():
            pack(_pictures(QUICK if place.quick else None), tar)
        return Found(self.name, collection, [tar], pixels=f"{AS_PUBLISHED}, kept as PNG")


def _pictures(count: int | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    for number, (image, label) in enumerate(zip(data.images[:count], data.target[:count], strict=True)):
        yield f"{label}/{number}.png", np.round(image * STEP).astype(np.uint8)
