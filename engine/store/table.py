"""One Lance table: opened when first used, created when first written, merged into and never appended to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import BadInput, StoreDamaged
from engine.store.durable import check_manifest, durable, locked, newest_manifest
from engine.store.schemas import primary_key

if TYPE_CHECKING:
    import lance
    import pyarrow as pa

BATCH_ROWS = 8192
RETRIES = 3
# The file that is locked while a table is created.
CREATING = ".creating"
T = TypeVar("T")
# Lance keeps what it read; without a bound its memory grows with the table.
CACHE_BYTES = 64 * 2**20
# A search touches six tables, some of them several times: opening them each time takes longer than what it looks up.
MOST_OPENED = 32


@dataclass(frozen=True)
class Opened:
    """A version of a table that stays open, the `mark` of its manifest, and what was `derived` from it."""

    mark: tuple[str, int, int, int]
    dataset: lance.LanceDataset
    derived: dict[str, Any] = field(default_factory=dict)


_opened: OrderedDict[Path, Opened] = OrderedDict()


class Table:
    """A named table of a store. `schema` is what it is created with."""

    def __init__(self, root: Path, name: str, schema: pa.Schema) -> None:
        self.path = root / f"{name}.lance"
        self.name = name
        self.schema = schema

    def exists(self) -> bool:
        return (self.path / "_versions").is_dir()

    def dataset(self) -> lance.LanceDataset | None:
        """Return the newest committed version, or None where nothing was written yet."""
        import lance

        if not self.exists():
            return None
        check_manifest(self.path)
        try:
            return lance.dataset(str(self.path), session=session())
        except (OSError, ValueError) as error:
            # `_versions` is there before the first manifest is: another process is creating the table.
            if "not found" in str(error):
                return None
            raise StoreDamaged(
                f"table '{self.name}' cannot be opened: {first_line(error)}", "engine verify --repair"
            ) from error

    def snapshot(self) -> lance.LanceDataset | None:
        """Return the newest committed version for reading only; it stays open until there is a newer one."""
        opened = self._open()
        return None if opened is None else opened.dataset

    def derived(self, name: str, make: Callable[[lance.LanceDataset], T]) -> T | None:
        """Return what `make` gives for the newest version, None where nothing was written yet.

        It is made once under its `name` as long as there is no newer version, and must not be changed.
        """
        opened = self._open()
        if opened is not None and name not in opened.derived:
            opened.derived[name] = make(opened.dataset)
        return None if opened is None else opened.derived[name]

    def few(self) -> list[dict[str, Any]]:
        """Return all rows of a small table, read once for each version; nothing of them may be changed."""
        return steady(lambda: self.derived("rows", lambda dataset: dataset.to_table().to_pylist())) or []

    def version(self) -> int:
        dataset = self.snapshot()
        return 0 if dataset is None else dataset.version

    def count(self, where: str | None = None) -> int:
        dataset = self.snapshot()
        return 0 if dataset is None else dataset.count_rows(filter=where)

    def read(self, columns: Sequence[str] | None = None, where: str | None = None) -> pa.Table:
        """Return the rows for which the SQL expression `where` holds."""
        names = list(columns or self.schema.names)

        def newest() -> pa.Table:
            dataset = self.snapshot()
            if dataset is None:
                import pyarrow as pa

                return pa.schema([self.schema.field(name) for name in names]).empty_table()
            return dataset.to_table(columns=names, filter=where)

        return steady(newest)

    def scan(
        self, columns: Sequence[str], where: str | None = None, *, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Stream the table, at most `rows` at a time: fewer where they are large, for several batches wait at once."""
        dataset = self.dataset()
        if dataset is not None:
            yield from dataset.to_batches(columns=list(columns), filter=where, batch_size=rows)

    def rows(self, columns: Sequence[str] | None = None, where: str | None = None) -> list[dict[str, Any]]:
        """Return the rows as dictionaries; for small tables and small answers."""
        return self.read(columns, where).to_pylist()

    def merge(self, rows: pa.Table, *, update: str | None = None) -> int:
        """Insert the rows whose key is new and return how many were; the caller leaves no key twice in `rows`.

        `update` is an SQL condition on `target` and `source`: rows that exist and meet it are replaced.
        """
        if rows.num_rows == 0:
            return 0
        with durable(self.path):
            merge = self._created().merge_insert(primary_key(self.schema)).when_not_matched_insert_all()
            if update is not None:
                merge = merge.when_matched_update_all(condition=update)
            # Concurrent writers conflict and try again; each attempt reads the newer table.
            result = merge.conflict_retries(50).execute(rows.cast(self.schema))
        return result["num_inserted_rows"] + result["num_updated_rows"]

    def delete(self, where: str) -> None:
        dataset = self.dataset()
        if dataset is not None:
            with durable(self.path):
                dataset.delete(where)

    def create(self) -> None:
        """Create the table if it is not there."""
        if not self.exists():
            with durable(self.path):
                self._created()

    def _open(self) -> Opened | None:
        mark = _mark(self.path)
        kept = _opened.pop(self.path, None)
        if kept is None or kept.mark != mark:
            dataset = self.dataset()
            if mark is None or dataset is None:
                return None if dataset is None else Opened(("", 0, 0, 0), dataset)
            kept = Opened(mark, dataset)
        _opened[self.path] = kept
        while len(_opened) > MOST_OPENED:
            _opened.popitem(last=False)
        return kept

    def _created(self) -> lance.LanceDataset:
        import lance

        dataset = self.dataset()
        if dataset is None:
            # Of two writers that create a table at once, Lance lets the later one overwrite what the first has put in.
            with locked(self.path.parent / CREATING):
                dataset = self.dataset()
                if dataset is None:
                    empty = self.schema.empty_table()
                    dataset = lance.write_dataset(empty, str(self.path), schema=self.schema, mode="create")
        return dataset


def _mark(table: Path) -> tuple[str, int, int, int] | None:
    """Return what tells the newest version from every other, also from one of a store that lay here before."""
    manifest = newest_manifest(table)
    # A compaction may remove it between the listing and now.
    with suppress(FileNotFoundError):
        if manifest is not None:
            state = manifest.stat()
            return manifest.name, state.st_mtime_ns, state.st_ino, state.st_size
    return None


def steady(read: Callable[[], T]) -> T:
    """Return what `read` returns; begin again if a compaction dropped the version that it was reading."""
    for _ in range(RETRIES):
        try:
            return read()
        except Exception as error:
            # Lance, Arrow and DuckDB each raise a kind of their own for it.
            if "Not found" not in str(error):
                raise
    return read()


@cache
def session() -> lance.Session:
    """Return what all tables of this process share: caches with a bound."""
    import lance

    return lance.Session(index_cache_size_bytes=CACHE_BYTES, metadata_cache_size_bytes=CACHE_BYTES)


def first_line(error: BaseException) -> str:
    """Return what an error of Lance says, without the place in its source."""
    return str(error).split("\n", 1)[0].split(", /", 1)[0][:200]


def in_list(column: str, ids: Sequence[bytes] | Sequence[str]) -> str:
    """Return the SQL condition that `column` is one of `ids`."""
    return f"{column} IN ({', '.join(literal(image) for image in ids)})" if ids else "false"


def literal(value: bytes | str) -> str:
    """Return `value` as an SQL literal; raise `BadInput` for bytes of a command line that are no text."""
    if isinstance(value, str) and not value.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadInput(f"{value!r} is not UTF-8", "spell it as engine prints it")
    return f"X'{value.hex()}'" if isinstance(value, bytes) else "'" + value.replace("'", "''") + "'"
