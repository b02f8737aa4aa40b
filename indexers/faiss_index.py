"""What the members built on FAISS share: they propose candidates, and exact scores decide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexers import files
from indexers.base import Matrix, Neighbors
from indexers.exact import ExactIndex
from indexers.faiss_settings import threads_for
from indexers.rows import Rows, questions, require_finite
from indexers.scores import best

if TYPE_CHECKING:
    import faiss

P = TypeVar("P")

# So few rows are compared in less time than any structure saves.
FEW_ROWS = 1000
# Queries that are asked at a time, so that what is proposed for a large batch stays small.
QUERIES = 1024
# Proposals beyond k: float32 and float64 may differ in the order of the last ones.
SLACK = 8
SEED = 0


class FaissIndex(ABC, Generic[P]):
    """Proposes candidates by FAISS and scores them exactly from the rows that were added.

    Scores are true cosines and never fewer than min(k, rows kept): only recall is approximate. Until there are enough
    rows to train on, every row is compared. Raises `ValueError` for another shape, for what is not finite, for an
    effort that is not on the ladder, and for parameters that cannot be.
    """

    kind: ClassVar[str]
    Params: ClassVar[type]
    # From the least effort to the most; the default is what a search takes that names none.
    ladder: ClassVar[tuple[int, ...]] = ()
    default_effort: ClassVar[int] = 1

    def __init__(self, params: P | None = None) -> None:
        self.params: P = self.Params() if params is None else params
        self._rows = Rows()
        self._exact = ExactIndex(rows=self._rows)
        self._body: faiss.Index | None = None
        # Where the body is mapped from, as long as it cannot be written.
        self._file: tuple[str | PathLike[str], files.Saved] | None = None

    def add(self, X: Matrix) -> None:
        """Append unit rows; `X` is kept by reference and read in blocks."""
        self._rows.check(X)
        require_finite(X)
        self._rows.append(X)
        built = len(self._rows) - len(X)
        if self._body is None:
            if len(self._rows) < self._minimum():
                return
            self._body, built = self._trained(), 0
        elif self._file is not None:
            self._body, self._file = self._writable(*self._file), None
        self._fill(self._body, built)

    @property
    def trained(self) -> bool:
        """Say whether there were rows enough to train on; until then every row is compared."""
        return self._body is not None

    def efforts(self) -> tuple[int, ...]:
        """Return the ladder of efforts, least first."""
        return self.ladder

    def search(
        self,
        Q: NDArray[np.float32],
        k: int,
        *,
        keep: NDArray[np.bool_] | None = None,
        effort: int | None = None,
    ) -> list[Neighbors]:
        """Return min(k, rows kept) rows with their cosines for each query of `Q` (q, dim), best first."""
        if effort is not None and not 1 <= effort <= max(self.efforts(), default=0):
            raise ValueError(f"{self.kind} takes an effort of {self.efforts() or 'its own'}, not {effort}")
        Q, kept = questions(self._rows, Q, k, keep)
        # A mask thins the neighbourhood: as many of the kept rows are met by looking that much further.
        effort = round((effort or self.default_effort) * len(self._rows) / max(kept, 1))
        wanted = self._wanted(k, effort)
        if self._body is None or kept < max(FEW_ROWS, k) or 2 * wanted > len(self._rows):
            return self._exact.search(Q, k, keep=keep)
        answers = []
        for start in range(0, len(Q), QUERIES):
            part = Q[start : start + QUERIES]
            with threads_for(len(part)):
                proposed = self._propose(part, wanted, effort, keep)
            answers += [self._answer(query, one, k, keep, kept) for query, one in zip(part, proposed, strict=True)]
        return answers

    def propose(self, Q: NDArray[np.float32], n: int, *, effort: int) -> NDArray[np.int64]:
        """Return positions int64 (q, n) of candidates, in no order that means anything, −1 where there are fewer.

        For those who score them themselves. Until there are rows enough to train on, they are the `n` best.
        """
        Q, _ = questions(self._rows, Q, n, None)
        if self._body is not None:
            with threads_for(len(Q)):
                return self._propose(Q, n, effort, None)
        places = np.full((len(Q), n), -1, np.int64)
        for place, found in zip(places, self._exact.search(Q, n), strict=True):
            place[: len(found)] = found.positions
        return places

    def save(self, path: str | PathLike[str]) -> None:
        """Write the folder `path`: a FAISS file and the parameters, not the vectors."""
        saved = files.Saved(self.kind, asdict(self.params), len(self._rows), self._rows.dim or 0)  # type: ignore[call-overload]
        files.write(path, saved, self._body, row_bytes=self._row_bytes(self._body) if self._body else 0)

    @classmethod
    def load(cls, path: str | PathLike[str], X: Matrix) -> Self:
        """Return what was saved over the vectors it was made of; raise `ValueError` for a damaged file.

        The FAISS file is memory-mapped and must stay as it is while the index is used. `X` may have more rows than
        were indexed: those are left out until they are added.
        """
        saved = files.read(path, cls.kind, X)
        try:
            index = cls(cls.Params(**saved.params))
        except TypeError as error:
            raise ValueError(f"{path} has parameters that {cls.kind} does not know: {error}") from None
        if saved.dim:
            index._rows.append(X, count=saved.rows)
        if saved.size:
            index._body, index._file = index._mapped(path, saved), (path, saved)
        return index

    def _answer(
        self,
        query: NDArray[np.float32],
        proposed: NDArray[np.int64],
        k: int,
        keep: NDArray[np.bool_] | None,
        kept: int,
    ) -> Neighbors:
        # FAISS pads with -1 where it found too few. In their order, rows are fetched sooner.
        places = np.sort(proposed[proposed >= 0])
        if (places[1:] == places[:-1]).any():
            places = np.unique(places)
        if len(places) and places[-1] >= len(self._rows):
            raise ValueError(f"the {self.kind} index names row {places[-1]} of {len(self._rows)}: it is damaged")
        places = places if keep is None else places[keep[places]]
        if len(places) < min(k, kept):
            return self._exact.search(query[None], k, keep=keep)[0]
        return best(self._rows, places, query, k)

    def _minimum(self) -> int:
        """Return how many rows it takes to train."""
        return FEW_ROWS

    def _wanted(self, k: int, effort: int) -> int:
        """Return how many candidates are proposed for `k` answers."""
        return k + SLACK

    def _sample_rows(self) -> int:
        """Return how many rows are trained on."""
        return 1

    @abstractmethod
    def _make(self, dim: int) -> faiss.Index:
        """Return the FAISS index, untrained."""

    def _trained(self) -> faiss.Index:
        body = self._make(self._rows.dim or 0)
        if not body.is_trained:
            count = min(len(self._rows), self._sample_rows())
            chosen = np.random.default_rng(SEED).choice(len(self._rows), count, replace=False, shuffle=False)
            body.train(self._shaped(self._rows.take(np.sort(chosen))))
        return body

    def _fill(self, body: faiss.Index, start: int) -> None:
        for _, block in self._rows.blocks(start):
            body.add(self._shaped(block))

    def _propose(
        self, Q: NDArray[np.float32], n: int, effort: int, keep: NDArray[np.bool_] | None
    ) -> NDArray[np.int64]:
        """Return the positions (q, n) of candidates, -1 where there is none."""
        import faiss

        assert self._body is not None
        bits = None if keep is None else np.packbits(keep, bitorder="little")
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        _, places = self._body.search(self._shaped(Q), n, params=self._parameters(effort, selector))
        return places

    def _parameters(self, effort: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters | None:
        """Return what FAISS calls this effort."""
        import faiss

        return faiss.SearchParameters(sel=selector)

    def _shaped(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return rows as FAISS is given them."""
        return block

    def _row_bytes(self, body: faiss.Index) -> int:
        """Return how many bytes of each row stand at the end of the FAISS file."""
        return int(body.code_size)

    def _mapped(self, path: str | PathLike[str], saved: files.Saved) -> faiss.Index:
        import faiss

        return files.read_body(path, saved, flags=faiss.IO_FLAG_MMAP_IFC)

    def _writable(self, path: str | PathLike[str], saved: files.Saved) -> faiss.Index:
        # FAISS ends the process when rows are added to what it has mapped.
        return files.read_body(path, saved, flags=0)
