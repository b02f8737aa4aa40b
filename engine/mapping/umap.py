"""UMAP (McInnes, Healy and Melville 2018, arXiv:1802.03426) on a graph of neighbours that is there already."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from io import TextIOBase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.mapping.pca import pca
from indexers.graph import KnnGraph

# Is told now and then how many epochs of the layout are done, and of how many.
Told = Callable[[int, int], None]


class _Epochs(TextIOBase):
    """The file that the library's own bar is written into."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def write(self, text: str) -> int:
        if found := re.search(r"(\d+)/(\d+)", text):
            self.told(int(found[1]), int(found[2]))
        return len(text)


def umap(
    X: NDArray[np.float32], graph: KnnGraph, *, dim: int = 2, seed: int = 0, told: Told | None = None
) -> NDArray[np.float32]:
    """Return float32 (n, dim). The layout begins at the principal components, and one thread makes it: with several
    the same seed would give another result each time. `told` hears how far it is."""
    from umap import UMAP

    start = pca(X, dim=dim)
    n, k = graph.indices.shape
    # Each row is its own nearest neighbour, as umap-learn counts them; it asks for fewer than there are rows.
    count = min(k + 1, n - 1)
    indices = np.concatenate([np.arange(n, dtype=np.int32)[:, None], graph.indices], axis=1)[:, :count]
    distances = np.concatenate([np.zeros((n, 1), np.float32), np.maximum(0, 1 - graph.scores)], axis=1)[:, :count]
    bar: dict[str, Any] = {"disable": True}
    if told is not None:
        bar = {"disable": False, "file": _Epochs(told), "desc": "", "bar_format": "{n}/{total}", "mininterval": 0.5}
    with warnings.catch_warnings():
        # That new vectors could not be added, that one thread is used, and that few rows have few neighbours.
        warnings.simplefilter("ignore", UserWarning)
        model = UMAP(
            n_components=dim, n_neighbors=count, metric="cosine", init=start, random_state=seed, n_jobs=1,
            tqdm_kwds=bar,
            precomputed_knn=(indices, np.ascontiguousarray(distances), None),
        )  # fmt: skip
        # It takes the number of rows from here and looks for no neighbours.
        laid: NDArray[np.float32] = model.fit_transform(start)
    return laid.astype(np.float32, copy=False)
