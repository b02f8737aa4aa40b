"""Hits as a file: Parquet, CSV or JSON lines, written as they come and there only when all of them are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from engine.errors import BadInput
from engine.store.durable import is_full

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("rank", pa.int64()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("ordinal", pa.int64()),
        ("score", pa.float64()),
        ("fpr", pa.float64()),
        ("label", pa.string()),
    ]
)
# Rows of a Parquet row group: answers of ten hits would make groups that cost more than they hold.
GROUP_ROWS = 65_536


class JsonLines:
    """Writes tables as JSON, a line a row."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8")

    def write_table(self, table: pa.Table) -> None:
        self.file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist())

    def close(self) -> None:
        self.file.close()


def _parquet(path: Path, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema)


def _csv(path: Path, schema: pa.Schema) -> Any:
    import pyarrow.csv

    return pyarrow.csv.CSVWriter(path, schema)


def _jsonl(path: Path, schema: pa.Schema) -> Any:
    return JsonLines(path)


WRITERS: dict[str, Callable[[Path, pa.Schema], Any]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}


def check_output(output: Path) -> None:
    """Raise `BadInput` for a file that no hits can be written to."""
    if output.suffix not in WRITERS:
        raise BadInput(f"hits cannot be written as {output}", f"use one of the endings {', '.join(WRITERS)}")
    if os.path.isdir(output):
        raise BadInput(f"{output} is a folder", "name a file: --output hits.parquet")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"there is no folder {output.absolute().parent}", "make it first")


class HitsFile:
    """A file of hits. Use as a context manager: only when the block ends well the file is there, whole.

    `metadata` goes into a Parquet file. Raises `BadInput` if the file cannot be written.
    """

    def __init__(self, output: Path, metadata: Mapping[str, str]) -> None:
        check_output(output)
        self.output = output
        self.scratch = output.with_name(f".{output.name}.{os.getpid()}.tmp")
        self.schema = SCHEMA.with_metadata(metadata)
        self.held: list[pa.Table] = []
        self.rows = 0

    def __enter__(self) -> HitsFile:
        try:
            self.writer = WRITERS[self.output.suffix](self.scratch, self.schema)
        except OSError as error:
            if is_full(error):
                raise
            reason = error.strerror or str(error).split(":", 1)[0]
            raise BadInput(f"{self.output} cannot be written: {reason}", "name another file") from None
        return self

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self.held.append(table)
        self.rows += len(table)
        if sum(map(len, self.held)) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self.held:
            self.writer.write_table(pa.concat_tables(self.held).cast(self.schema))
        self.held = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                if kind is None:
                    self._flush()
            finally:
                self.writer.close()
            if kind is None:
                os.replace(self.scratch, self.output)
        finally:
            self.scratch.unlink(missing_ok=True)
