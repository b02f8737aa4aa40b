"""The flat index: every row is compared by FAISS, straight from where the rows lie."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from indexers.base import Matrix, Neighbors
from indexers.exact import ExactIndex, at_least
from indexers.faiss_settings import matrix_products_from, threads_for
from indexers.rows import questions
from indexers.scores import MARGIN, ranked

# Measured at 200,000 × 512: from four queries on, one matrix product is faster than a pass for each.
PRODUCT_QUERIES = 4
# Queries that are compared at a time: scores of a block of rows with all of them stay small.
QUERIES = 1024
# Rows found beyond k: if even the last of them lies within the margin of the k-th, all rows are looked at again.
SLACK = 16
# Beyond that, keeping the best costs more than comparing.
LARGE_K = 1000


class FlatIndex(ExactIndex):
    """Answers as `ExactIndex` does, sooner. It builds nothing and copies nothing: a memory map stays one.

    Raises `ValueError` as `ExactIndex` does; the first search looks for rows that are not finite, since adding reads
    nothing.
    """

    kind = "flat"

    def __init__(self, X: Matrix | None = None) -> None:
        super().__init__(X)
        self._scanned = 0

    def search(
        self,
        Q: NDArray[np.float32],
        k: int,
        *,
        keep: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> list[Neighbors]:
        """Return the min(k, rows kept) best rows for each query of `Q` (q, dim); there is no `effort` to give."""
        Q, kept = questions(self._rows, Q, k, keep)
        masked = keep is not None and len(Q) < PRODUCT_QUERIES
        if masked or effort is not None or k > LARGE_K or k + SLACK >= kept:
            return super().search(Q, k, keep=keep, effort=effort)
        if self._scanned < len(self._rows):
            # `knn` passes over a row that is not finite in silence; NumPy's scan sees it, and answers as well.
            first = super().search(Q[:1], k)
            self._scanned = len(self._rows)
            if len(Q) == 1:
                return first
        answers = []
        for start in range(0, len(Q), QUERIES):
            part = Q[start : start + QUERIES]
            with threads_for(len(part)), matrix_products_from(PRODUCT_QUERIES, Q.shape[1]):
                scores, places = self._nearest(part, k + SLACK, keep)
            for query, near, these in zip(part, scores, places, strict=True):
                if near[-1] >= near[k - 1] - MARGIN:
                    answers += super().search(query[None], k, keep=keep)
                else:
                    answers.append(ranked(self._rows, these[near >= near[k - 1] - MARGIN], query, k=k))
        return answers

    def range_search(
        self, Q: NDArray[np.float32], threshold: float, *, keep: NDArray[np.bool_] | None = None
    ) -> list[Neighbors]:
        """Return every row with `score >= threshold` for each query of `Q` (q, dim)."""
        Q, kept = questions(self._rows, Q, 1, keep)
        if len(Q) < PRODUCT_QUERIES or kept == 0:
            return super().range_search(Q, threshold, keep=keep)
        answers = []
        for start in range(0, len(Q), QUERIES):
            part = Q[start : start + QUERIES]
            owner, places = self._above(part, threshold - MARGIN, keep)
            cuts = np.searchsorted(owner, np.arange(1, len(part)))
            found = zip(part, np.split(places, cuts), strict=True)
            answers += [at_least(ranked(self._rows, these, query), threshold) for query, these in found]
        return answers

    def _nearest(
        self, Q: NDArray[np.float32], n: int, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the float32 scores and positions (q, n) of the best rows."""
        import faiss

        scores = np.full((len(Q), n), -np.inf, np.float32)
        places = np.full((len(Q), n), -1, np.int64)
        for these, block in self._stretches(keep):
            new, where = faiss.knn(Q, block, min(n, len(block)), faiss.METRIC_INNER_PRODUCT)
            scores, places = np.hstack([scores, new]), np.hstack([places, these[where]])
            order = np.argsort(-scores, axis=1, kind="stable")[:, :n]
            scores, places = np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)
        return scores, places

    def _above(
        self, Q: NDArray[np.float32], bound: float, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (query, position) of every float32 score that reaches `bound`, by query."""
        owners, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for start, block in self._rows.blocks():
            scores = Q @ block.T
            if not np.isfinite(scores).all():
                wrong = np.flatnonzero(~np.isfinite(scores).all(axis=0))[0]
                raise ValueError(f"vector {start + wrong} is not finite")
            mask = slice(None) if keep is None else keep[start : start + len(block)]
            these = np.arange(start, start + len(block))[mask]
            query, column = np.nonzero(scores[:, mask] >= bound)
            owners.append(query)
            places.append(these[column])
        owner, place = np.concatenate(owners), np.concatenate(places)
        order = np.argsort(owner, kind="stable")
        return owner[order], place[order]

    def _stretches(self, keep: NDArray[np.bool_] | None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield (positions, rows): whole parts where they lie as FAISS reads them, else blocks of what is kept."""
        for start, stop, part in self._rows.whole():
            if part is not None and keep is None:
                yield np.arange(start, stop), part
                continue
            for first, block in self._rows.blocks(start, stop):
                mask = slice(None) if keep is None else keep[first : first + len(block)]
                if len(kept := np.arange(first, first + len(block))[mask]):
                    yield kept, np.ascontiguousarray(block[mask])
