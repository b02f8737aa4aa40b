"""LanceDB: its flat search and two of its indexes, asked as its users ask it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.base import Effort, Positions, Vectors

BLOCK_ROWS, MOST_LISTS = 8192, 1024


class LanceFlatPeer:
    """Every row is compared; rows are read from the table."""

    params: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        import lancedb

        self._connect = lancedb.connect

    def build(self, X: Vectors, folder: Path) -> None:
        import pyarrow as pa

        vector = pa.list_(pa.float32(), X.shape[1])
        schema = pa.schema([pa.field("position", pa.int64()), pa.field("vector", vector)])

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(X), BLOCK_ROWS):
                block = np.ascontiguousarray(X[start : start + BLOCK_ROWS])
                column = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), X.shape[1])
                yield pa.record_batch([pa.array(np.arange(start, start + len(block))), column], schema=schema)

        self._open(X, folder)
        reader = pa.RecordBatchReader.from_batches(schema, batches())
        self._table = self._connect(self._folder).create_table("rows", reader)
        self._index()

    def save(self) -> int:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def load(self, X: Vectors, folder: Path) -> None:
        self._open(X, folder)
        self._table = self._connect(self._folder).open_table("rows")

    def _open(self, X: Vectors, folder: Path) -> None:
        self._folder, self._rows = folder / "lancedb", len(X)

    def _index(self) -> None:
        return

    def efforts(self) -> Sequence[Effort]:
        return [None]

    def query(self, q: Vectors, k: int, effort: Effort) -> Positions:
        return self._search(q, k, effort)["position"].to_numpy()

    def query_batch(self, Q: Vectors, k: int, effort: Effort) -> Sequence[Positions]:
        rows = self._search(Q, k, effort)
        positions, which = rows["position"].to_numpy(), rows["query_index"].to_numpy()
        # Rows of a query stay in their order, which is best first.
        return [positions[which == i] for i in range(len(Q))]

    def _search(self, query: Vectors, k: int, effort: Effort) -> Any:
        wanted = ["position", "_distance"]
        asked: Any = self._table.search(list(query) if query.ndim == 2 else query, vector_column_name="vector")
        return self._tuned(asked.distance_type("dot"), k, effort).limit(k).select(wanted).to_arrow()

    def _tuned(self, asked: Any, k: int, effort: Effort) -> Any:
        return asked


def lists(rows: int) -> int:
    """Return how many inverted lists to make: 4·√rows, but no more than LanceDB trains, one for 256 rows.

    Training takes lists × rows. At a million there are about √rows of them, which is the library's own choice.
    """
    return max(1, min(int(4 * sqrt(rows)), rows // 256, MOST_LISTS))


class LanceIVFPQPeer(LanceFlatPeer):
    """Inverted lists of product-quantised residuals; the best are scored again from the stored vectors."""

    REFINE = 10

    @property
    def params(self) -> dict[str, Any]:  # type: ignore[override]
        return {"lists": lists(self._rows), "subvectors": self._subvectors(), "refine": self.REFINE}

    def _subvectors(self) -> int:
        dim = self._table.schema.field("vector").type.list_size
        return next(size for size in (dim // 8, dim // 16, 1) if size and dim % size == 0)

    def _index(self) -> None:
        from lancedb.index import IvfPq

        config = IvfPq(distance_type="dot", num_partitions=lists(self._rows), num_sub_vectors=self._subvectors())
        self._table.create_index("vector", config=config)

    def efforts(self) -> Sequence[Effort]:
        return sorted({min(lists(self._rows), probes) for probes in (1, 2, 4, 8, 16, 32, 64, 128, 256)})

    def _tuned(self, asked: Any, k: int, effort: Effort) -> Any:
        return asked.nprobes(effort).refine_factor(self.REFINE)


class LanceIVFHNSWPeer(LanceFlatPeer):
    """Graphs of layers over 8-bit vectors; the best are scored again from the stored vectors."""

    # One list for a million rows is what the documentation advises.
    ROWS_A_LIST = 2**20
    REFINE = 2

    @property
    def params(self) -> dict[str, Any]:  # type: ignore[override]
        return {"lists": self._lists, "m": 20, "ef_construction": 300, "refine": self.REFINE}

    @property
    def _lists(self) -> int:
        return max(1, self._rows // self.ROWS_A_LIST)

    def _index(self) -> None:
        from lancedb.index import HnswSq

        config = HnswSq(distance_type="dot", num_partitions=self._lists, m=20, ef_construction=300)
        self._table.create_index("vector", config=config)

    def efforts(self) -> Sequence[Effort]:
        return [20, 40, 80, 160, 320, 640, 1280]

    def _tuned(self, asked: Any, k: int, effort: Effort) -> Any:
        # Fewer than are scored again would be refused.
        return asked.nprobes(self._lists).ef(max(effort or 0, self.REFINE * k)).refine_factor(self.REFINE)
