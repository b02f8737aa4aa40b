"""Batch: many queries in one go, answered in blocks; answers one by one, or hits streamed into a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from engine.errors import BadInput, EngineError
from engine.progress import Progress, Silent
from engine.retrieval.captions import Captions, captions_of
from engine.retrieval.hits_file import HitsFile, check_output
from engine.retrieval.many import (
    Block,
    Blocks,
    of_all,
    of_names,
    of_one,
    of_rows,
    of_source,
    query_rows,
    read_names,
    regrouped,
)
from engine.retrieval.query import Query, query_vector, resolved
from engine.retrieval.scope import Limits, Mask, Scope, scope_of
from engine.retrieval.search import Answer, Hit, answer, left_out, without
from engine.store import Store
from engine.store.names import spelled
from indexers import Neighbors

QUERIES = 256
# Scores that a block of queries may answer with: what bounds the memory of a threshold that lets everything through.
PAIRS = 4_000_000
SLICE_ROWS = 65_536


@dataclass(frozen=True)
class Queries:
    """Which queries, exactly one of: the `images` of a source, `vectors` (q, dim), stored images by `ids`, or `all`.

    `vectors` is a .npy file or an array; `ids` a text file with a name on each line, or names
    and ids.
    """

    images: str | PathLike[str] | None = None
    vectors: str | PathLike[str] | NDArray[Any] | None = None
    ids: str | PathLike[str] | Sequence[str | bytes] | None = None
    all: bool = False

    @property
    def given(self) -> list[str]:
        """Return the options that say where queries come from."""
        options = {"--images": self.images, "--vectors": self.vectors, "--ids": self.ids, "--all": self.all or None}
        return [name for name, value in options.items() if value is not None]

    def check(self) -> None:
        """Raise `BadInput` unless the queries come from one place."""
        if len(self.given) != 1:
            what = " and ".join(self.given) or "no queries"
            raise BadInput(what, "give one of --images SOURCE, --vectors FILE.npy, --ids FILE.txt and --all")


@dataclass(frozen=True)
class Written:
    """What was written where; `problems` says which pictures were no query, and why."""

    path: Path
    queries: int
    hits: int
    problems: list[str]
    space: str
    fingerprint: str
    threshold: float | None
    fpr: float | None
    index: dict[str, Any]
    store_version: dict[str, int]
    notes: tuple[str, ...]


@dataclass
class Batch:
    """Queries and what answers them, ready to go once: ask for `answers` or `write` them."""

    scope: Scope
    captions: Captions
    blocks: Blocks
    progress: Progress
    exclude_self: bool = False
    problems: list[str] = field(default_factory=list)
    queries: int = 0

    def answers(self) -> Iterator[Answer]:
        """Yield the answer to each query, in order."""
        versions = self.scope.versions()
        for block, found in self._found():
            for name, (one, complete) in zip(block.names, found, strict=True):
                hits = self._hits(one)
                yield answer(self.scope, name, hits, complete=complete, index=self.evidence, versions=versions)

    def write(self, output: str | PathLike[str]) -> Written:
        """Write the hits of all queries as .parquet, .csv or .jsonl; there is no file until all are in it."""
        scope, path, versions = self.scope, Path(output), self.scope.versions()
        limits = {"k": scope.k, "threshold": scope.threshold, "fpr": scope.fpr, "store_version": versions}
        metadata = {"space": scope.space.name, "fingerprint": scope.space.fingerprint, "search": json.dumps(limits)}
        with HitsFile(path, metadata) as file:
            for block, found in self._found():
                for table in self._tables(block, [one for one, _ in found]):
                    file.write(table)
        return Written(
            path, self.queries, file.rows, self.problems, scope.space.name, scope.space.fingerprint, scope.threshold,
            scope.fpr, self.evidence, versions, scope.notes,
        )  # fmt: skip

    def _found(self) -> Iterator[tuple[Block, list[tuple[Neighbors, bool]]]]:
        """Yield blocks of queries with the neighbours of each, and whether none that qualifies is missing."""
        keep, spare = self._keep(), int(self.exclude_self)
        with closing(self.blocks) as blocks:
            for block in regrouped(blocks, self._size()):
                found = self.scope.find(block.points, keep=keep, spare=spare)
                # Before the answers are printed: no line about progress comes after them.
                self.queries += len(block)
                self.progress.advance(len(block))
                yield block, [self._trimmed(one, own) for one, own in zip(found, block.own, strict=True)]

    @property
    def evidence(self) -> dict[str, Any]:
        """Return who answers, with the recall that was measured."""
        return self.scope.evidence(self._keep(), spare=int(self.exclude_self))

    def _keep(self) -> Mask | None:
        known = self.captions.known
        if known.all():
            return self.scope.keep
        return known if self.scope.keep is None else known & self.scope.keep

    def _size(self) -> int:
        rows = len(self.scope.vectors)
        each = rows if self.scope.threshold is not None else min(self.scope.k or rows, rows)
        return int(np.clip(PAIRS // each, 1, QUERIES))

    def _trimmed(self, found: Neighbors, own: int) -> tuple[Neighbors, bool]:
        others = found.positions != own if self.exclude_self else np.ones(len(found), bool)
        positions, scores = found.positions[others], found.scores[others]
        complete = self.scope.threshold is None or self.scope.k is None or len(positions) <= self.scope.k
        return Neighbors(positions[: self.scope.k], scores[: self.scope.k]), complete

    def _hits(self, found: Neighbors) -> list[Hit]:
        ids, rates = self.scope.vectors.ids, self.scope.background.fpr(found.scores)
        rows = self.captions.take(found.positions).to_pylist()
        return [
            Hit(
                ids[place].tobytes(),
                row["name"],
                row["source"],
                row["ordinal"],
                float(score),
                float(rate),
                row["label"],
            )
            for place, row, score, rate in zip(found.positions, rows, found.scores, rates, strict=True)
        ]

    def _tables(self, block: Block, found: Sequence[Neighbors]) -> Iterator[pa.Table]:
        """Yield the hits of a block as rows of a hits file, in slices."""
        counts = [len(one) for one in found]
        query = np.repeat(np.arange(len(block)), counts)
        rank = np.arange(len(query)) - np.repeat(np.cumsum([0, *counts[:-1]]), counts) + 1
        positions = np.concatenate([one.positions for one in found])
        scores = np.concatenate([one.scores for one in found])
        names = pa.array(block.names, pa.string())
        for start in range(0, len(query), SLICE_ROWS):
            part = slice(start, start + SLICE_ROWS)
            captions = self.captions.take(positions[part])
            yield pa.table(
                {
                    "query": names.take(pa.array(query[part])),
                    "rank": rank[part],
                    "id": hex_column(self.scope.vectors.ids[positions[part]]),
                    "name": captions["name"],
                    "source": captions["source"],
                    "ordinal": captions["ordinal"],
                    "score": scores[part],
                    "fpr": self.scope.background.fpr(scores[part]),
                    "label": captions["label"],
                }
            )


def _named(
    given: str | PathLike[str] | Sequence[str | bytes], problems: list[str], progress: Progress
) -> tuple[list[str], Callable[[int, EngineError], None]]:
    """Return names and what to do about one that stands for no image: of a file it is noted, else raised."""
    if isinstance(given, str | PathLike):
        lines = read_names(given)
        numbers = list(lines)

        def note(row: int, error: EngineError) -> None:
            problems.append(f"line {numbers[row]} of {given} is no query: {error.message}")
            progress.note(f"warning: {problems[-1]}")

        return list(lines.values()), note

    def fail(row: int, error: EngineError) -> None:
        raise error

    return [spelled(one) for one in given], fail


def hex_column(ids: NDArray[np.uint8]) -> pa.Array:
    """Return ids (n, bytes) as a column of hexadecimal text, without a Python object for each."""
    text = np.ascontiguousarray(ids).tobytes().hex().encode()
    ends = np.arange(len(ids) + 1, dtype=np.int32) * (2 * ids.shape[1])
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(ends), pa.py_buffer(text))


def batch(
    store: Store,
    queries: Queries | Query,
    *,
    space: str | None = None,
    k: int | None = None,
    threshold: float | None = None,
    fpr: float | None = None,
    where: str | None = None,
    exclude_self: bool = False,
    exact: bool = False,
    output: str | PathLike[str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Batch:
    """Return the queries, ready to be answered as `search` answers each; one `Query` makes a batch of one.

    `output` is checked at once, before anything is encoded. `exclude_self` leaves out the query's own image.
    Raises what `search` raises, and `SourceError` for a source that cannot be opened.
    """
    if output is not None:
        check_output(Path(output))
    if isinstance(queries, Queries):
        queries.check()
    scope = scope_of(store, Limits(k, threshold, fpr), space=space, where=where, exact=exact)
    captions, progress, problems = captions_of(store, scope.vectors), progress or Silent(), list[str]()
    if isinstance(queries, Query):
        progress.begin("search", 1)
        parts = resolved(store, queries)
        blocks = of_one(str(queries), query_vector(store, queries, parts, scope.space, scope.vectors))
        own = without(scope.keep, scope.vectors, left_out(parts, exclude_self))
        return Batch(replace(scope, keep=own), captions, blocks, progress)
    total = None
    if queries.images is not None:
        blocks = of_source(store, queries.images, scope.space, scope.vectors, problems, progress, workers)
    elif queries.vectors is not None:
        rows = query_rows(queries.vectors, scope.space)
        blocks, total = of_rows(rows, scope.space), len(rows)
    elif queries.ids is not None:
        names, reject = _named(queries.ids, problems, progress)
        blocks, total = of_names(store, names, scope.space, scope.vectors, reject), len(names)
    else:
        blocks, total = of_all(scope.vectors, captions), int(captions.known.sum())
    progress.begin("search", total)
    return Batch(scope, captions, blocks, progress, exclude_self, problems)
