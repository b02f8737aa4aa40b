"""The exact index: every row is compared. The oracle for all others."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from indexers import files
from indexers.base import Matrix, Neighbors
from indexers.rows import Rows, questions
from indexers.scores import MARGIN, NONE, border, ranked

# Fetching a row by itself costs a few times what reading it in passing does: few rows are fetched, many are passed.
FETCH_SHARE = 1 / 8
# Below every finite score, above that of a masked row.
LEAST = float(np.finfo(np.float32).min)


class ExactIndex:
    """Compares each query with every row: float32 scan, float64 scores for what is answered.

    An answer does not depend on the order of summation, on threads, or on the queries it was asked with. Ties go to
    the row that was added first. Raises `ValueError` for another shape and for a query or a row that is not finite.
    """

    kind: ClassVar[str] = "exact"

    def __init__(self, X: Matrix | None = None, *, rows: Rows | None = None) -> None:
        self._rows = Rows() if rows is None else rows
        if X is not None:
            self.add(X)

    def add(self, X: Matrix) -> None:
        """Append unit rows; `X` is kept by reference, so that a memory map stays one."""
        self._rows.append(X)

    def efforts(self) -> tuple[int, ...]:
        """Return nothing: an exact search has nothing to tune."""
        return ()

    def search(
        self,
        Q: NDArray[np.float32],
        k: int,
        *,
        keep: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> list[Neighbors]:
        """Return the min(k, rows kept) best rows for each query of `Q` (q, dim); there is no `effort` to give."""
        if effort is not None:
            raise ValueError(f"an exact search takes no effort, not {effort}")
        return self._scan(Q, keep, k, lambda scores: border(scores, k))

    def range_search(
        self, Q: NDArray[np.float32], threshold: float, *, keep: NDArray[np.bool_] | None = None
    ) -> list[Neighbors]:
        """Return every row with `score >= threshold` for each query of `Q` (q, dim)."""
        return [at_least(one, threshold) for one in self._scan(Q, keep, None, lambda _: threshold - MARGIN)]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the folder `path`; the vectors themselves are not in it."""
        files.write(path, files.Saved(self.kind, {}, len(self._rows), self._rows.dim or 0))

    @classmethod
    def load(cls, path: str | PathLike[str], X: Matrix) -> Self:
        """Return what was saved over the vectors it was made of; raise `ValueError` for a damaged file."""
        saved = files.read(path, cls.kind, X)
        index = cls()
        if saved.dim:
            index._rows.append(X, count=saved.rows)
        return index

    def _scan(
        self,
        Q: NDArray[np.float32],
        keep: NDArray[np.bool_] | None,
        k: int | None,
        bound: Callable[[NDArray[np.float32]], float],
    ) -> list[Neighbors]:
        """Return the k best (None: all) of the rows whose float32 scores reach `bound(scores)`."""
        Q, kept = questions(self._rows, Q, 1 if k is None else k, keep)
        if kept == 0:
            return [NONE for _ in Q]
        fetched = np.flatnonzero(keep) if keep is not None and kept < len(self._rows) * FETCH_SHARE else None
        answers = []
        for query in Q:
            scores = self._rows.products(query, fetched)
            if not np.isfinite(scores).all():
                wrong = np.flatnonzero(~np.isfinite(scores))[0]
                raise ValueError(f"vector {wrong if fetched is None else fetched[wrong]} is not finite")
            if fetched is None and keep is not None:
                scores[~keep] = -np.inf
            hits = np.flatnonzero(scores >= max(bound(scores), LEAST))
            answers.append(ranked(self._rows, hits if fetched is None else fetched[hits], query, k=k))
        return answers


def at_least(found: Neighbors, threshold: float) -> Neighbors:
    """Return the hits with `score >= threshold`."""
    n = int(np.count_nonzero(found.scores >= threshold))
    return Neighbors(found.positions[:n], found.scores[:n])
