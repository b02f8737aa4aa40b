"""Hits as a file: Parquet, CSV or JSON lines, written as they come and there only when all of them are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from engine.errors import BadInput
from engine.scratch import whole
from engine.store.durable import is_full

SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("rank", pa.int64()),
        ("id", pa.string()),
        ("name", pa.string()),
        ("source", pa.string()),
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

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write_table(self, table: pa.Table) -> None:
        self.file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in table.to_pylist())

    def close(self) -> None:
        self.file.flush()


def _parquet(file: IO[bytes], schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, schema)


def _csv(file: IO[bytes], schema: pa.Schema) -> Any:
    import pyarrow.csv

    return pyarrow.csv.CSVWriter(file, schema)


def _jsonl(file: IO[bytes], schema: pa.Schema) -> Any:
    return JsonLines(file)


# They are given open files: Arrow takes no path that is not UTF-8.
WRITERS: dict[str, Callable[[IO[bytes], pa.Schema], Any]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}


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
        self.place = whole(output)
        self.schema = SCHEMA.with_metadata(metadata)
        self.held: list[pa.Table] = []
        self.rows = 0

    def __enter__(self) -> HitsFile:
        try:
            self.file = self.place.__enter__().open("wb")
        except OSError as error:
            if is_full(error):
                raise
            reason = error.strerror or str(error).split(":", 1)[0]
            raise BadInput(f"{self.output} cannot be written: {reason}", "name another file") from None
        self.writer = WRITERS[self.output.suffix](self.file, self.schema)
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
            with self.file:
                if kind is None:
                    self._flush()
                self.writer.close()
        except BaseException as failed:
            self.place.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self.place.__exit__(kind, error, trace)
