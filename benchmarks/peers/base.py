"""What a competitor is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Positions = NDArray[np.int64]
# The knob that trades time for recall while searching; None where there is none.
Effort = int | None


class Peer(Protocol):
    """One way of finding neighbours by cosine among unit vectors. Importing its library is the job of `__init__`."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Return what it was built with."""
        ...

    def build(self, X: Vectors, folder: Path) -> None:
        """Index the rows of `X` (n, dim); files go into `folder`."""
        ...

    def save(self) -> int:
        """Leave in the folder of `build` what `load` needs; return the bytes of all that a search needs."""
        ...

    def load(self, X: Vectors, folder: Path) -> None:
        """Be as after `build` with the same rows and folder, from what `save` left there."""
        ...

    def efforts(self) -> Sequence[Effort]:
        """Return the ladder of efforts, least first."""
        ...

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        """Return the positions (≤ k,) of the rows closest to `q` (dim,), best first."""
        ...

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        """Return the positions (≤ k,) for each row of `Q` (q, dim)."""
        ...
