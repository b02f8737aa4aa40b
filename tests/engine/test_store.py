"""The tables and the vector cache: keys hold against every race, and what is derived equals what it came from."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from engine.compact import compact
from engine.errors import AmbiguousName, BadInput, FingerprintMismatch, NoStore, NoSuchImage, StoreBusy, StoreDamaged
from engine.store import ID_BYTES, Space, Store, Table, VectorCache, durable
from engine.store.names import resolve, source_names
from engine.store.schemas import TABLES, primary_key, space_schema
from engine.store.table import in_list, literal, steady
from engine.store.vectors import vector_rows

ROOT = Path(__file__).parents[2]
DIM = 4
SCHEMA = space_schema(DIM)


def identity(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def vector(number: int) -> np.ndarray:
    row = np.random.default_rng(number).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


def rows(numbers: range | list[int]) -> pa.Table:
    vectors = np.array([vector(number) for number in numbers], np.float32).reshape(-1, DIM)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
    return pa.table({"id": pa.array([identity(number) for number in numbers], pa.binary()), "vector": column})


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path, "vectors", SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "store")


def in_processes(scripts: list[str], *arguments: object) -> list[str]:
    """Run Python scripts at the same time; return what each printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for script in scripts
    ]
    answers = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(scripts)
    return answers


# --- tables ---


def test_merge_inserts_what_is_new_and_nothing_else(table):
    assert table.merge(rows(range(100))) == 100
    assert table.merge(rows(range(100))) == 0
    assert table.merge(rows(range(50, 120))) == 20
    assert table.merge(rows([])) == 0
    assert table.count() == 120
    assert set(table.read(["id"])["id"].to_pylist()) == {identity(number) for number in range(120)}


def test_a_table_that_was_never_written_is_empty(table):
    assert (table.exists(), table.version(), table.count(), table.rows()) == (False, 0, 0, [])
    assert table.read(["id"]).schema == pa.schema([SCHEMA.field("id")])
    assert list(table.scan(["id"])) == []
    table.delete("true")
    assert not table.path.exists()


def test_read_and_scan_give_the_columns_and_rows_that_were_asked_for(table):
    table.merge(rows(range(30)))
    where = in_list("id", [identity(3), identity(7), identity(1000)])
    assert {row["id"] for row in table.rows(["id"], where)} == {identity(3), identity(7)}
    assert sum(len(batch) for batch in table.scan(["vector"])) == 30
    assert table.count(where) == 2
    assert table.count(in_list("id", [])) == 0
    (row,) = table.rows(["vector"], f"id = {literal(identity(7))}")
    np.testing.assert_array_equal(np.float32(row["vector"]), vector(7))


def test_delete_takes_rows_and_only_those(table):
    table.merge(rows(range(10)))
    table.delete(in_list("id", [identity(2), identity(5)]))
    assert set(table.read(["id"])["id"].to_pylist()) == {identity(n) for n in range(10) if n not in (2, 5)}


def test_update_replaces_rows_that_meet_the_condition(store):
    def row(ordinal, rejected, run):
        return {"source": b"s", "ordinal": ordinal, "name": str(ordinal), "rejected": rejected, "run": run}

    def write(update, *written):
        return store.members.merge(pa.Table.from_pylist(list(written), store.members.schema), update=update)

    write(None, row(0, "bad", "first"), row(1, None, "first"))
    condition = "target.rejected IS NOT NULL"
    assert write(condition, row(0, None, "second"), row(1, None, "second"), row(2, None, "second")) == 2
    found = {one["ordinal"]: (one["rejected"], one["run"]) for one in store.members.rows()}
    assert found == {0: (None, "second"), 1: (None, "first"), 2: (None, "second")}


MERGE = """
import sys, hashlib
sys.path.insert(0, {here!r})
import test_store
from engine.store import Table
from pathlib import Path
table = Table(Path(sys.argv[1]), "vectors", test_store.SCHEMA)
print(sum(table.merge(test_store.rows(range(start, start + 40))) for start in range({start}, 400, 20)))
"""


def test_processes_that_create_and_merge_overlapping_keys_lose_and_double_nothing(table, tmp_path):
    # The table does not exist: the race begins with who creates it.
    here = str(Path(__file__).parent)
    answers = in_processes([MERGE.format(here=here, start=start) for start in (0, 10)], tmp_path)
    stored = table.read(["id"])["id"].to_pylist()
    assert len(stored) == len(set(stored)) == sum(map(int, answers))
    assert set(stored) == {identity(number) for number in range(430)}


def test_threads_that_create_and_merge_overlapping_keys_lose_and_double_nothing(tmp_path):
    # Each thread with a table object of its own, as two committers have.
    added: list[int] = []

    def work(offset: int) -> None:
        own = Table(tmp_path, "vectors", SCHEMA)
        added.extend(own.merge(rows(range(start, start + 40))) for start in range(offset, 300, 30))

    threads = [threading.Thread(target=work, args=(offset,)) for offset in (0, 10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = Table(tmp_path, "vectors", SCHEMA).read(["id"])["id"].to_pylist()
    assert len(stored) == len(set(stored)) == sum(added)
    assert set(stored) == {identity(number) for number in range(330)}


def test_processes_that_make_one_store_both_succeed(tmp_path):
    script = "import sys; from engine.store import Store; print(Store.create(sys.argv[1]).path)"
    in_processes([script] * 3, tmp_path / "new")
    store = Store.open(tmp_path / "new")
    assert {table.name: table.count() for table in store.tables()} == dict.fromkeys(TABLES, 0)


def test_keys_are_variable_binary_or_text_and_marked(store):
    # Lance lets two writers insert the same fixed-size binary key twice.
    space = store.declare(Space("a", "0" * 12, DIM, "x"), "run")
    store.vectors_table(space).create()
    for table in store.tables():
        schema = table.dataset().schema
        assert primary_key(schema) == primary_key(table.schema) != []
        for name in primary_key(schema):
            assert schema.field(name).type in (pa.binary(), pa.string(), pa.int64())
            assert not schema.field(name).nullable


def test_lancedb_reads_the_same_rows(store):
    space = store.declare(Space("a", "0" * 12, DIM, "x"), "run")
    store.vectors_table(space).merge(rows(range(20)))
    opened = store.database().open_table(space.table)
    assert opened.to_arrow().sort_by("id").equals(store.vectors_table(space).read().sort_by("id"))


# --- the store ---


def test_opening_what_is_no_store(tmp_path):
    with pytest.raises(NoStore, match="engine ingest"):
        Store.open(tmp_path / "missing")
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, file / "below", file / "far" / "below"):
        with pytest.raises(NoStore):
            Store.open(path)
        with pytest.raises(BadInput, match="is a file"):
            Store.create(path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(BadInput, match=r"a\.jpg"):
        Store.create(tmp_path / "photos")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "photos"]


def test_a_store_is_made_in_an_empty_folder_once(tmp_path):
    first = Store.create(tmp_path)
    first.runs.merge(
        pa.Table.from_pylist([{"run": "r", "event": "start", "time": 0.0, "command": "c"}], first.runs.schema)
    )
    assert Store.create(tmp_path).runs.count() == 1
    assert Store.open(tmp_path).versions() == first.versions()


def test_a_store_whose_making_was_killed_is_made_by_the_next(tmp_path):
    # Any table may be missing, or be there as nothing but its folders.
    Store.create(tmp_path)
    for name in ("runs", "labels"):
        subprocess.run(["rm", "-r", str(tmp_path / f"{name}.lance")], check=True)
    subprocess.run(["rm", "-r", str(tmp_path / "images.lance" / "_versions")], check=True)
    (tmp_path / "images.lance" / "_versions").mkdir()
    store = Store.create(tmp_path)
    store.end(store.begin("test", {}), "test", {})
    assert store.runs.count() == 2
    assert store.images.count() == 0


def test_a_space_keeps_its_fingerprint(store):
    space = Space("a", "0" * 12, DIM, "one", {"weights": None})
    assert store.declare(space, "run") == space
    assert store.declare(space, "another run") == space
    vector = np.full((1, DIM), DIM**-0.5, np.float32)
    store.vectors_table(space).merge(vector_rows([b"x" * ID_BYTES], vector))
    for other in (Space("a", "1" * 12, DIM, "two"), Space("a", "0" * 12, DIM + 1, "two")):
        with pytest.raises(FingerprintMismatch) as caught:
            store.declare(other, "run")
        assert space.fingerprint in caught.value.message
        assert other.fingerprint in caught.value.message
    assert store.spaces() == {"a": space}


def test_a_space_that_nothing_came_of_can_be_declared_anew(store):
    store.declare(Space("a", "0" * 12, DIM, "failed"), "run")
    again = Space("a", "1" * 12, DIM + 1, "mended")
    assert store.declare(again, "run") == again
    assert store.spaces() == {"a": again}


def test_writers_share_the_lock_and_who_takes_away_is_alone(store):
    other = Store.open(store.path)
    with store.lock(), other.lock(), pytest.raises(StoreBusy), store.lock(alone=True):
        pass
    with store.lock(alone=True), pytest.raises(StoreBusy), other.lock(alone=True):
        pass


def test_a_writer_waits_for_who_is_alone(store):
    entered = threading.Event()

    def write() -> None:
        with Store.open(store.path).lock():
            entered.set()

    with store.lock(alone=True):
        thread = threading.Thread(target=write)
        thread.start()
        assert not entered.wait(0.2)
    thread.join()
    assert entered.is_set()


# --- the vector cache ---


@pytest.fixture
def cached(table: Table, tmp_path: Path):
    """Return a function that loads the cache of `table` and compares it with the table, row by row."""
    folder = tmp_path / "cache"

    def load() -> VectorCache:
        cache = VectorCache.load(table, folder)
        truth = {row["id"]: row["vector"] for row in table.rows()}
        assert len(cache) == len(truth)
        assert cache.version == table.version()
        assert {one.tobytes() for one in cache.ids} == truth.keys()
        for one, row in zip(cache.ids, cache.matrix, strict=True):
            np.testing.assert_array_equal(row, np.float32(truth[one.tobytes()]))
        return cache

    load.folder = folder  # type: ignore[attr-defined]
    return load


def state(folder: Path) -> dict:
    return json.loads((folder / "state.json").read_text())


def test_the_cache_follows_the_table(table, cached):
    assert len(cached()) == 0
    table.create()
    assert len(cached()) == 0
    table.merge(rows(range(40)))
    first = cached()
    name = state(cached.folder)["name"]
    table.merge(rows(range(30, 70)))
    cached()
    assert state(cached.folder)["name"] == name, "appended rows must extend the files"
    table.delete(in_list("id", [identity(1), identity(60)]))
    cached()
    table.dataset().optimize.compact_files(materialize_deletions_threshold=0.0)
    cached()
    table.merge(rows(range(70, 75)))
    assert len(cached()) == 73
    # Who had the old files open reads on.
    number = {identity(number): number for number in range(40)}[bytes(first.ids[-1])]
    np.testing.assert_array_equal(first.matrix[-1], vector(number))


def test_old_files_of_the_cache_go(table, cached):
    for start in range(0, 50, 10):
        table.merge(rows(range(start, start + 10)))
        cached()
        table.delete(f"id = {literal(identity(start))}")
        cached()
    assert sorted(path.suffix for path in cached.folder.iterdir() if path.name != ".lock") == [".f32", ".ids", ".json"]


@pytest.mark.parametrize("kind", ["ids", "f32"])
@pytest.mark.parametrize("left", [0.0, 0.5])
def test_a_cut_file_of_the_cache_is_made_anew(table, cached, kind, left):
    table.merge(rows(range(50)))
    cached()
    (path,) = cached.folder.glob(f"*.{kind}")
    os.truncate(path, int(path.stat().st_size * left))
    cached()


def test_a_cut_file_beside_a_longer_one_is_made_anew(table, cached):
    # As when a kill left rows of ids behind the counted ones and a full disk cut the vectors.
    table.merge(rows(range(50)))
    cached()
    ((ids,), (vectors,)) = (list(cached.folder.glob(f"*.{kind}")) for kind in ("ids", "f32"))
    with ids.open("ab") as file:
        file.write(b"x" * 7 * ID_BYTES)
    os.truncate(vectors, 100)
    cached()


def test_rows_half_written_by_a_killed_process_are_written_over(table, cached):
    table.merge(rows(range(50)))
    cached()
    for path in [*cached.folder.glob("*.ids"), *cached.folder.glob("*.f32")]:
        with path.open("ab") as file:
            file.write(os.urandom(777))
    (cached.folder / "state.json.tmp").write_text("{")
    (cached.folder / "deadbeef.ids").write_bytes(b"left")
    table.merge(rows(range(50, 90)))
    cached()
    assert not (cached.folder / "deadbeef.ids").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 2}', '{"name": "../x", "rows": "many"}', "null"])
def test_a_damaged_state_of_the_cache_is_made_anew(table, cached, text):
    table.merge(rows(range(20)))
    cached()
    (cached.folder / "state.json").write_text(text)
    cached()


def test_the_cache_can_be_deleted_at_any_time(table, cached):
    table.merge(rows(range(20)))
    cached()
    subprocess.run(["rm", "-r", str(cached.folder)], check=True)
    cached()


def test_positions(table, cached):
    table.merge(rows(range(60)))
    cache = cached()
    for numbers in ([5, 1000, 7], list(range(-20, 80)), []):
        asked = np.frombuffer(b"".join(map(identity, numbers)), np.uint8).reshape(-1, ID_BYTES)
        found = cache.positions(asked)
        assert found.shape == (len(numbers),)
        for number, place in zip(numbers, found, strict=True):
            if 0 <= number < 60:
                assert bytes(cache.ids[place]) == identity(number)
            else:
                assert place == -1


def test_positions_of_ids_that_end_in_zeros(table, cached):
    # NumPy takes trailing zero bytes for padding.
    ids = [b"\1" * (ID_BYTES - zeros) + bytes(zeros) for zeros in range(ID_BYTES + 1)]
    table.merge(rows(range(len(ids))).set_column(0, "id", pa.array(ids, pa.binary())))
    cache = VectorCache.load(table, cached.folder)
    asked = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES)
    assert [bytes(cache.ids[place]) for place in cache.positions(asked)] == ids
    assert [bytes(cache.ids[cache.positions(asked[n : n + 1])[0]]) for n in range(len(ids))] == ids


# --- names ---


@pytest.fixture
def named(store: Store) -> Store:
    """Return a store with two sources whose names collide in every way."""
    files = {
        (b"one", 0): ("images/3048.jpeg", identity(0)),
        (b"one", 1): ("images/b.jpg", identity(1)),
        (b"one", 2): ("other/b.jpg", identity(2)),
        (b"one", 3): ("other/c.jpg", identity(3)),
        (b"one", 4): ("other/c.png", identity(4)),
        (b"one", 5): ("it's 50%_a [1].jpg", identity(5)),
        (b"one", 6): ("it's 50XXa [1].jpg", identity(6)),
        (b"one", 7): ("back\\slash.jpg", identity(7)),
        (b"one", 8): ("gone.jpg", identity(8)),
        (b"one", 9): ("broken.jpg", None),
        (b"two", 0): ("copy of b.jpg", identity(1)),
        (b"two", 1): ("b", identity(9)),
        (b"two", 2): ("@1", identity(10)),
        (b"two", 3): ("same.jpg", identity(11)),
        (b"two", 4): ("far/same.png", identity(11)),
        (b"two", 5): ("id:nothing.jpg", identity(12)),
    }
    members = [
        {
            "source": source,
            "ordinal": ordinal,
            "name": name,
            "image": image,
            "rejected": None if image else "truncated",
            "removed": "run7" if name == "gone.jpg" else None,
        }
        for (source, ordinal), (name, image) in files.items()
    ]
    store.members.merge(pa.Table.from_pylist(members, store.members.schema))
    sources = [{"digest": b"one", "path": "/data/photos.tar.gz"}, {"digest": b"two", "path": "/data/more.tar"}]
    store.sources.merge(pa.Table.from_pylist(sources, store.sources.schema))
    images = {image for _, image in files.values() if image and image != identity(8)}
    store.images.merge(pa.Table.from_pylist([{"id": image} for image in images], store.images.schema))
    return store


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("images/3048.jpeg", 0),
        ("3048.jpeg", 0),
        ("3048", 0),
        ("images/b.jpg", 1),
        ("b", 9),  # an exact name goes before a stem
        ("copy of b", 1),
        ("c.png", 4),
        ("it's 50%_a [1]", 5),
        ("it's 50%_a [1].jpg", 5),
        ("back\\slash", 7),
        ("@1", 10),  # an exact name goes before an ordinal
        ("@6", 6),
        ("photos.tar.gz@1", 1),
        ("photos@1", 1),
        ("/data/more.tar@0", 1),
        ("more@3", 11),
        ("same", 11),  # two members, one image
        ("id:nothing.jpg", 12),
        (f"id:{identity(3).hex()[:8]}", 3),
        (f"id:{identity(3).hex()[:9].upper()}", 3),
        (f"id:{identity(3).hex()}", 3),
    ],
)
def test_a_name_stands_for_one_image(named, name, number):
    assert resolve(named, name) == identity(number)


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("b.jpg", AmbiguousName, r"photos\.tar\.gz@1 \(images/b\.jpg\), photos\.tar\.gz@2 \(other/b\.jpg\)"),
        ("c", AmbiguousName, r"other/c\.jpg.*other/c\.png"),
        ("@0", AmbiguousName, "more.tar@0"),
        ("gone", NoSuchImage, "removed in run run7.*--restore"),
        ("gone.jpg", NoSuchImage, "removed"),
        ("broken", NoSuchImage, "rejected: truncated"),
        ("nobody", NoSuchImage, "engine members"),
        ("it's 50", NoSuchImage, "engine members"),
        ("%", NoSuchImage, "engine members"),
        ("' OR true --", NoSuchImage, "engine members"),
        ("@77", NoSuchImage, "engine members"),
        ("@" + "9" * 30, NoSuchImage, "engine members"),
        ("third.tar@0", NoSuchImage, "engine members"),
        ("", NoSuchImage, "engine members"),
        ("id:1234", BadInput, "8 to 64"),
        ("id:" + "0" * 65, BadInput, "8 to 64"),
        ("id:zzzzzzzz", BadInput, "hexadecimal"),
        ("id:00000000", NoSuchImage, "begins with 00000000"),
        (f"id:{identity(8).hex()}", NoSuchImage, "begins with"),
    ],
)
def test_a_name_that_stands_for_no_image_or_for_several_is_an_error(named, name, error, text):
    with pytest.raises(error, match=text):
        resolve(named, name)


def source(number: int, path: str) -> dict:
    return {
        "digest": bytes([number]) * 16,
        "path": path,
        "kind": "tar",
        "stamp": str(number),
        "complete": True,
        "run": "r",
    }


def test_sources_of_one_name_are_told_apart_by_their_folders(store):
    paths = ["/a/march/images.tar", "/b/march/images.tar", "/a/images", "/a/grown", "/a/grown"]
    store.sources.merge(pa.Table.from_pylist([source(*one) for one in enumerate(paths)], store.sources.schema))
    rows = [
        {"source": bytes([number]) * 16, "ordinal": 0, "name": "0.png", "image": identity(number), "run": "r"}
        for number in range(len(paths))
    ]
    store.members.merge(pa.Table.from_pylist(rows, store.members.schema))
    images = [{"id": identity(number)} for number in range(len(paths))]
    store.images.merge(pa.Table.from_pylist(images, store.images.schema))
    called = ["a/march/images.tar", "b/march/images.tar", "a/images", "grown", "grown"]
    assert source_names(store) == {bytes([number]) * 16: name for number, name in enumerate(called)}
    assert resolve(store, "a/march/images@0") == identity(0)
    assert resolve(store, "/b/march/images.tar@0") == identity(1)
    assert resolve(store, "a/images@0") == identity(2)
    for name in ("0", "0.png", "@0", "images.tar@0", "march/images.tar@0", "images@0", "grown@0"):
        with pytest.raises(AmbiguousName) as caught:
            resolve(store, name)
        # What it offers can be typed.
        offered = re.findall(r"(\S+) \(0\.png\)", caught.value.message)
        assert len(offered) >= 2
        assert len({resolve(store, one) for one in offered}) == len(offered)


def test_ids_that_begin_alike_need_more_digits(store):
    ids = [bytes.fromhex(f"aabbccdd{digit}".ljust(64, "0")) for digit in "12"]
    store.images.merge(pa.Table.from_pylist([{"id": one} for one in ids], store.images.schema))
    with pytest.raises(AmbiguousName, match="2 ids"):
        resolve(store, "id:aabbccdd")
    assert resolve(store, "id:aabbccdd2") == ids[1]


# --- durable ---


def test_every_file_of_a_commit_is_forced_to_the_disk_and_its_folder_too(tmp_path, monkeypatch):
    forced: list[str] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        forced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    store = Store.create(tmp_path / "a" / "store")
    table = store.vectors_table(store.declare(Space("a", "0" * 12, DIM, "x"), "run"))
    steps = [
        lambda: table.merge(rows(range(20))),
        lambda: table.merge(rows(range(10, 30))),
        lambda: table.delete(f"id = {literal(identity(3))}"),
        lambda: table.delete(f"id = {literal(identity(4))}"),
        lambda: store.end("run", "test", {}),
    ]
    everything = set(store.path.rglob("*"))
    # The store itself is new in its parent, and that in its own.
    assert {str(store.path.parent), str(store.path)} <= set(forced)
    for step in steps:
        forced.clear()
        step()
        new = set(store.path.rglob("*")) - everything
        everything |= new
        # The hint only saves a listing; it may be stale or lost.
        files = {str(path) for path in new if path.is_file() and "hint" not in path.name}
        assert files | {str(path.parent) for path in new} <= set(forced)
        assert any(path.suffix == ".manifest" for path in new)


def lose_power(table: Path) -> Path:
    """Leave the newest version as a power loss may: a name without content."""
    manifest = durable.newest_manifest(table)
    assert manifest is not None
    os.truncate(manifest, 0)
    return manifest


def test_the_newest_manifest_is_the_last_version(table):
    for start in range(3):
        table.merge(rows([start]))
        version = 2**64 - 1 - table.version()
        assert durable.newest_manifest(table.path).name == f"{version}.manifest"


@pytest.mark.parametrize("hint", ["as it is", "of the lost version", "of an old version", "nonsense", "none"])
def test_an_empty_manifest_is_recognised_and_the_version_before_it_comes_back(table, hint):
    for start in range(0, 30, 10):
        table.merge(rows(range(start, start + 10)))
    last = table.version()
    lost = lose_power(table.path)
    path = table.path / "_versions" / "latest_version_hint.json"
    texts = {
        "of the lost version": json.dumps({"version": last}),
        "of an old version": '{"version": 2}',
        "nonsense": "{",
    }
    if hint in texts:
        path.write_text(texts[hint])
    elif hint == "none":
        path.unlink(missing_ok=True)
    for action in (
        table.count,
        table.rows,
        table.version,
        lambda: table.merge(rows([99])),
        lambda: table.delete("true"),
    ):
        with pytest.raises(StoreDamaged, match="verify --repair"):
            action()
    assert durable.repair(table.path) == [lost]
    assert table.version() == last - 1
    assert {row["id"] for row in table.rows(["id"])} == {identity(number) for number in range(20)}
    table.merge(rows(range(20, 25)))
    assert table.count() == 25
    assert durable.repair(table.path) == []


def test_several_empty_manifests_go_and_the_first_version_of_all_too(table):
    table.merge(rows([1]))
    table.merge(rows([2]))
    for manifest in (table.path / "_versions").glob("*.manifest"):
        os.truncate(manifest, 0)
    assert len(durable.repair(table.path)) == 3
    assert table.count() == 0
    table.merge(rows([1]))
    assert table.count() == 1


def test_another_error_of_the_disk_is_no_full_disk(table):
    assert durable.is_full(OSError(28, "No space left on device"))
    assert durable.is_full(OSError("LanceError(IO): ... No space left on device (os error 28)"))
    assert not durable.is_full(OSError(13, "Permission denied"))


def test_a_read_begins_again_when_its_version_is_dropped(tmp_path: Path) -> None:
    """A compaction in another process drops the files between opening a version and reading it."""
    store = Store.create(tmp_path / "s")
    for row in range(5):
        store.end(f"run{row}", "test", {})
    # A session of its own, as another process has: what it has not read yet is nowhere in memory.
    opened = lance.dataset(str(store.runs.path), session=lance.Session())
    attempts = []

    def read() -> int:
        # The first attempt holds on to the version that is gone.
        dataset = store.runs.dataset() if attempts else opened
        attempts.append(dataset)
        if len(attempts) == 1:
            compact(store)
        assert dataset is not None
        return len(dataset.to_table())

    assert (steady(read), len(attempts)) == (5, 2)
