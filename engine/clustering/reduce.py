"""Fewer axes before clustering: `pca:50` or `umap:10`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.mapping.pca import pca
from engine.mapping.umap import Told, umap
from indexers.graph import KnnGraph

METHODS = ("pca", "umap")
# No vector has a million axes.
DIGITS = 6
# Bytes of the compiled library, and of the edges of a row.
COMPILED, EDGES = 300 * 2**20, 2000


@dataclass(frozen=True)
class Reduction:
    """A method and the axes that it leaves."""

    method: str
    dim: int

    def __str__(self) -> str:
        return f"{self.method}:{self.dim}"

    @classmethod
    def parse(cls, text: str | None) -> Reduction | None:
        """Return what `pca:50` stands for; raise `BadInput` for anything else."""
        if text is None:
            return None
        method, _, dim = text.partition(":")
        digits = dim.lstrip("0")
        if method not in METHODS or not (dim.isascii() and dim.isdecimal() and 0 < len(digits) <= DIGITS):
            raise BadInput(f"--reduce {text} is no reduction", "write it as pca:50 or umap:10")
        return cls(method, int(digits))

    def check(self, n: int, dim: int) -> None:
        """Raise `BadInput` where `n` rows of `dim` axes cannot be reduced to so many."""
        most = min(n - 2, dim) if self.method == "umap" else min(n, dim)
        if self.dim > most:
            raise BadInput(
                f"--reduce {self} leaves {self.dim} axes; {n} vectors of {dim} axes have at most {max(0, most)}",
                "ask for fewer",
            )

    def memory(self, n: int, dim: int) -> int:
        """Return the bytes that it takes; UMAP compiles itself, and has edges with their weights and epochs."""
        own = COMPILED + n * EDGES if self.method == "umap" else 0
        return dim * dim * 24 + n * self.dim * 24 + own

    def apply(
        self, X: NDArray[np.float32], graph: KnnGraph | None, *, seed: int, told: Told | None = None
    ) -> NDArray[np.float32]:
        """Return float32 (n, dim): by PCA unit rows again, whose cosines are close to those of X; by UMAP a layout."""
        if self.method == "umap":
            assert graph is not None
            return umap(X, graph, dim=self.dim, seed=seed, told=told)
        rows = pca(X, dim=self.dim)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
