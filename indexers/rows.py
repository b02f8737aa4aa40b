"""The rows an index compares: what was added, part by part, by reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexers.base import Matrix

# Rows that are read at a time, so that no copy of a large matrix is made.
BLOCK_ROWS = 8192


class Rows:
    """Matrices one below the other, none of them copied; rows come out as contiguous float32."""

    def __init__(self) -> None:
        self.parts: list[Matrix] = []
        self.dim: int | None = None
        self._starts = [0]

    def __len__(self) -> int:
        return self._starts[-1]

    def append(self, X: Matrix, *, count: int | None = None) -> None:
        """Append the first `count` rows of `X` (None: all); raise `ValueError` for another shape."""
        self.check(X)
        self.dim = X.shape[1]
        # The same memory: a memory map's own class makes every row that is fetched slower.
        self.parts.append(X.view(np.ndarray) if isinstance(X, np.memmap) else X)
        self._starts.append(len(self) + (len(X) if count is None else count))

    def check(self, X: Matrix) -> None:
        """Raise `ValueError` if `X` is no matrix of as many dimensions as the rows before."""
        if len(X.shape) != 2:
            raise ValueError(f"vectors have shape {X.shape}, not (n, dim)")
        if self.dim is not None and X.shape[1] != self.dim:
            raise ValueError(f"vectors have shape {X.shape}, those before are {self.dim}-d")

    def whole(self) -> Iterator[tuple[int, int, NDArray[np.float32] | None]]:
        """Yield (start, stop, matrix) of each part; None in place of one that is not contiguous float32."""
        for part, start, stop in zip(self.parts, self._starts, self._starts[1:], strict=False):
            yield start, stop, part[: stop - start] if _plain(part) else None

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield (position of its first row, block) over rows `start` to `stop`."""
        stop = len(self) if stop is None else stop
        for part, first, last in zip(self.parts, self._starts, self._starts[1:], strict=False):
            for place in range(max(first, start), min(last, stop), BLOCK_ROWS):
                end = min(place + BLOCK_ROWS, last, stop)
                yield place, np.ascontiguousarray(part[place - first : end - first], np.float32)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return rows (m, dim) by position."""
        if len(positions) <= BLOCK_ROWS and len(self.parts) == 1:
            return np.ascontiguousarray(self.parts[0][positions], np.float32)
        taken = np.empty((len(positions), self.dim or 0), np.float32)
        for cut in range(0, len(positions), BLOCK_ROWS):
            self._fetch(positions[cut : cut + BLOCK_ROWS], taken[cut : cut + BLOCK_ROWS])
        return taken

    def _fetch(self, positions: NDArray[np.int64], taken: NDArray[np.float32]) -> None:
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        for one in np.unique(owner):
            mine = owner == one
            taken[mine] = self.parts[one][positions[mine] - self._starts[one]]

    def products(self, query: NDArray[np.float32], positions: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Return float32 scores of one query (dim,) with every row, or with those at `positions`."""
        pieces = list(self._products(query)) if positions is None else [self.take(positions) @ query]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.float32), *pieces])

    def _products(self, query: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        for part, start, stop in zip(self.parts, self._starts, self._starts[1:], strict=False):
            whole: Any = part
            if hasattr(part, "__matmul__"):
                yield (whole @ query)[: stop - start].astype(np.float32, copy=False)
            else:
                yield from (block @ query for _, block in self.blocks(start, stop))


def _plain(part: Matrix) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == np.float32 and part.flags.c_contiguous


def require_finite(X: Matrix) -> None:
    """Raise `ValueError` that names the first row of `X` that is not finite; walks in blocks."""
    for start in range(0, len(X), BLOCK_ROWS):
        # A sum is finite only if all its parts are: unit rows cannot overflow it.
        sums = np.asarray(X[start : start + BLOCK_ROWS], np.float32).sum(axis=1)
        if not np.isfinite(sums).all():
            raise ValueError(f"vector {start + np.flatnonzero(~np.isfinite(sums))[0]} is not finite")


def questions(
    rows: Rows, Q: NDArray[np.float32], k: int, keep: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], int]:
    """Return the queries as contiguous float32 (q, dim) and how many rows may be answered; `ValueError` if none can."""
    if k < 1:
        raise ValueError(f"k is {k}, must be at least 1")
    if Q.ndim != 2:
        raise ValueError(f"queries have shape {Q.shape}, not (q, dim)")
    if rows.dim is not None and Q.shape[1] != rows.dim:
        raise ValueError(f"queries have shape {Q.shape}, vectors are {rows.dim}-d")
    if keep is not None and (keep.shape != (len(rows),) or keep.dtype != bool):
        raise ValueError(f"keep is {keep.dtype} {keep.shape}, not a mask ({len(rows)},)")
    if not np.isfinite(Q).all():
        raise ValueError("a query is not finite")
    return np.ascontiguousarray(Q, np.float32), len(rows) if keep is None else int(np.count_nonzero(keep))
