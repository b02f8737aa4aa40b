"""Made vectors that are as close to each other as those of photos; uniform random vectors have no neighbours.

The recipe, calibrated on the 9,144 × 512 vectors of an ImageNet network over Caltech-101 (docs/benchmarks.md):

    x = unit(√0.25 · m + √0.33 · c[j] + √0.42 · r · z)

m is one direction that all rows share, c[j] the centre of the row's cluster, both uniform on the sphere; z is Gaussian
noise of length about 1 whose standard deviation falls with the axis as (i + 1)^−0.35; r, uniform in 0.4 … 1.4, makes
some images typical of their cluster and others not. There is a cluster for every 100 rows, and the j-th largest has a
share proportional to (j + 1)^−0.75.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 8192
SHARED, BETWEEN, WITHIN = 0.25, 0.33, 0.42
ROWS_A_CLUSTER = 100
SIZE_EXPONENT, AXIS_EXPONENT = 0.75, 0.35
SPREAD = (0.4, 1.4)


@dataclass(frozen=True)
class Clustered:
    """A seeded stream of `rows` unit vectors of `dim` axes, the same whatever is drawn of it."""

    rows: int
    dim: int = 512
    seed: int = 0
    _centres: NDArray[np.float32] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        centres = rng.standard_normal((max(1, self.rows // ROWS_A_CLUSTER) + 1, self.dim), np.float32)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        object.__setattr__(self, "_centres", sqrt(SHARED) * centres[0] + sqrt(BETWEEN) * centres[1:])

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield float32 (≤ 8192, dim) until `rows` are made."""
        for block, start in enumerate(range(0, self.rows, BLOCK_ROWS)):
            yield self._draw(block, min(BLOCK_ROWS, self.rows - start))

    def save(self, path: Path) -> None:
        """Write all rows as a .npy file, a block at a time."""
        head = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
        # Through a mapped file a full disk would be a SIGBUS.
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {**head, "shape": (self.rows, self.dim)})
            for block in self.blocks():
                file.write(np.ascontiguousarray(block, np.float32).data)

    def queries(self, count: int) -> NDArray[np.float32]:
        """Return float32 (count, dim) of the same clusters, none of them among the rows."""
        return self._draw(-(-self.rows // BLOCK_ROWS), count)

    def _draw(self, block: int, count: int) -> NDArray[np.float32]:
        # A generator for each block: any block can be made without those before it.
        rng = np.random.default_rng([self.seed, 1, block])
        shares = (np.arange(len(self._centres)) + 1.0) ** -SIZE_EXPONENT
        clusters = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(count)).clip(0, len(shares) - 1)
        axes = (np.arange(self.dim) + 1.0) ** -AXIS_EXPONENT
        noise = rng.standard_normal((count, self.dim), np.float32) * (axes / np.linalg.norm(axes)).astype(np.float32)
        spread = rng.uniform(*SPREAD, (count, 1)).astype(np.float32)
        rows = self._centres[clusters] + sqrt(WITHIN) * spread * noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
