"""Tables that stay open between two searches: what others write is seen, and what lay here before is not."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pyarrow as pa
import pytest

from engine.errors import StoreDamaged
from engine.store import Store
from engine.store.durable import newest_manifest
from engine.store.schemas import LABELS
from engine.store.vectors import identity

MERGE = """
import sys
from engine.store import Store
from tests.engine.test_snapshots import said
Store.open(sys.argv[1]).labels.merge(said(*sys.argv[2:]))
"""


def said(*words: str) -> pa.Table:
    return pa.Table.from_pylist([{"key": word.encode(), "label": word} for word in words], LABELS)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.create(tmp_path / "store")


def words(store: Store) -> list[str]:
    return sorted(row["label"] for row in store.labels.few())


def test_a_table_stays_open_until_something_is_written(store):
    store.labels.merge(said("a"))
    opened, rows = store.labels.snapshot(), store.labels.few()
    assert store.labels.snapshot() is opened
    assert store.labels.few() is rows
    store.labels.merge(said("b"))
    assert words(store) == ["a", "b"]
    assert store.labels.snapshot() is not opened
    assert opened.count_rows() == 1


def test_what_another_process_writes_is_seen(store):
    store.labels.merge(said("a"))
    before = (words(store), store.labels.version(), identity(store.labels))
    subprocess.run([sys.executable, "-c", MERGE, str(store.path), "b", "c"], check=True)
    assert words(store) == ["a", "b", "c"]
    assert store.labels.version() == before[1] + 1
    assert identity(store.labels) != before[2]


def test_another_store_at_the_same_place_is_not_taken_for_the_one_before(store):
    store.labels.merge(said("a"))
    assert words(store) == ["a"]
    shutil.rmtree(store.path)
    again = Store.create(store.path)
    again.labels.merge(said("z"))
    assert words(again) == ["z"]
    shutil.rmtree(store.path)
    assert (again.labels.few(), again.labels.snapshot(), again.labels.version()) == ([], None, 0)


def test_a_manifest_that_is_cut_off_is_seen_though_the_table_is_open(store):
    store.labels.merge(said("a"))
    assert words(store) == ["a"]
    newest_manifest(store.labels.path).write_bytes(b"")
    with pytest.raises(StoreDamaged, match="engine verify --repair"):
        store.labels.few()
