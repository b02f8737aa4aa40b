"""`--where`: a condition in SQL over everything that is known of an image, and the images that meet it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadInput
from engine.labeling.precedence import ACCEPT, CONFLICTS, LABELS, PRECEDENCE, REVERT
from engine.store import Store
from engine.store.table import in_list, literal, steady
from engine.store.vectors import id_array, identity, sort_key

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

# So many statements at most are kept in memory as the labels that they come to.
MOST_KEPT = 1_000_000
COLUMNS = ("id", "name", "ordinal", "split", "source", "width", "height", "format", "bytes", "label")

PICTURES = f"""
    SELECT images.id AS image, lower(hex(images.id)) AS id, members.name, members.ordinal, members.split,
        parse_filename(sources.path) AS source, images.width, images.height, images.format, images.bytes,
        labelled.label
    FROM images
    JOIN members ON members.image = images.id AND members.removed IS NULL
    LEFT JOIN sources ON sources.digest = members.source
    LEFT JOIN ({LABELS}) AS labelled ON labelled.id = images.id
"""


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """Return a database whose tables are those of the store, read as they are needed, and nothing else."""
    import duckdb

    database = duckdb.connect(config={"threads": 2})
    for table in store.tables():
        # A table that nothing was written to yet is empty.
        dataset = table.dataset()
        database.register(table.name, table.schema.empty_table() if dataset is None else dataset)
    # A condition may come from somebody else: it can reach no file and no network.
    database.execute("SET enable_external_access = false; SET lock_configuration = true")
    return database


def matching(store: Store, where: str) -> NDArray[np.uint8]:
    """Return the ids (n, 32) of the images for which the condition holds for at least one of their members.

    Raises `BadInput` for what is not one SQL expression over the columns.
    """
    import duckdb

    try:
        return id_array(steady(lambda: _selected(store, where))["image"])
    except duckdb.Error as error:
        reason = str(error).split("\n", 1)[0]
        raise BadInput(f"--where {where!r}: {reason}", f"columns are {', '.join(COLUMNS)}") from None


def _selected(store: Store, where: str) -> pa.Table:
    database = connect(store)
    # `filter` takes one expression: a text that closes a parenthesis or begins another statement is none.
    query = database.sql(PICTURES).filter(where).project("image").distinct()
    # In a thread of its own, so that Ctrl-C can stop a condition that never ends.
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(query.to_arrow_table)
        try:
            while not answer.done():
                wait([answer], timeout=0.2)
        except KeyboardInterrupt:
            database.interrupt()
            raise
        return answer.result()


@dataclass(frozen=True)
class KeptLabels:
    """The labels that count in one state of a store: sorted keys (n,) of ids, and their labels."""

    keys: NDArray[np.bytes_]
    labels: pa.ChunkedArray

    def of(self, ids: list[bytes]) -> dict[bytes, str]:
        """Return the label of each of `ids` that has one."""
        if not ids or not len(self.keys):
            return {}
        wanted = sort_key(np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), -1))
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        known = self.keys[places] == wanted
        return {one: self.labels[int(place)].as_py() for one, place, hit in zip(ids, places, known, strict=True) if hit}


# The state of the store that was asked last, and its labels once it was asked again in that state.
_asked: dict[tuple[Any, ...], KeptLabels | None] = {}


def labels_of(store: Store, ids: list[bytes]) -> dict[bytes, str]:
    """Return the label that counts of each of `ids` that has one.

    What is asked once is looked up. From the second time on all labels are kept until one of them or a run changes:
    deciding which one counts takes SQL longer than a search takes.
    """
    state = (store.path, identity(store.labels), identity(store.runs))
    if state not in _asked or store.labels.count() > MOST_KEPT:
        _asked.clear()
        _asked[state] = None
        return _looked_up(store, ids)
    kept = _asked[state]
    if kept is None:
        found = all_labels(store)
        keys = sort_key(id_array(found["id"]))
        order = np.argsort(keys, kind="stable")
        kept = KeptLabels(keys[order], found["label"].take(order))
        _asked[state] = kept
    return kept.of(ids)


def _looked_up(store: Store, ids: list[bytes]) -> dict[bytes, str]:
    said = store.labels.rows(where=f"kind = 'class' AND {in_list('id', ids)}") if store.labels.count() else []
    if not {row["source"] for row in said} & set(PRECEDENCE) - {"given"}:
        return _given(said)
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as database:
        database.register("labels", pa.Table.from_pylist(said, store.labels.schema))
        by = ", ".join(literal(run) for run in {row["run"] for row in said})
        database.register("runs", store.runs.read(where=f"run IN ({by}) OR command IN {(ACCEPT, REVERT)!r}"))
        return dict(database.execute(LABELS).fetchall())


def _given(said: list[dict[str, Any]]) -> dict[bytes, str]:
    """Return the labels of images of which only the data says something, as `LABELS` does.

    A search of a labelled collection would otherwise spend more on SQL than on searching.
    """
    found: dict[bytes, set[str]] = {}
    for row in said:
        if row["source"] == "given" and row["polarity"]:
            found.setdefault(row["id"], set()).add(row["label"])
    return {image: labels.pop() for image, labels in found.items() if len(labels) == 1}


def all_labels(store: Store) -> pa.Table:
    """Return the label that counts of every image that has one: columns id and label."""
    import pyarrow as pa

    if store.labels.count() == 0:
        return pa.schema([("id", pa.binary()), ("label", pa.string())]).empty_table()
    return steady(lambda: connect(store).sql(LABELS).to_arrow_table())


def conflicts(store: Store) -> NDArray[np.uint8]:
    """Return the ids (n, 32) of the images that have no label because two count alike."""
    if store.labels.count() == 0:
        return np.empty((0, 32), np.uint8)
    return id_array(steady(lambda: connect(store).sql(CONFLICTS).to_arrow_table())["id"])


def conflicting(store: Store) -> int:
    """Return how many images have no label because two count alike."""
    return len(conflicts(store))
