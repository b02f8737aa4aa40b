"""Indexes over a space: measured recall, freshness, what a crash leaves, and who answers what."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import engine
from benchmarks.made.generate import generate
from engine.compact import compact
from engine.errors import BadInput, EmptySpace, StoreDamaged
from engine.info import info
from engine.progress import Silent
from engine.remove import remove
from engine.retrieval.index import build, update
from engine.retrieval.kept_index import folder, ids_of, load, read
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.retrieval.searcher import Searcher
from engine.store import Store
from engine.store.vectors import unit, vector_rows
from indexers.metrics import TIE
from indexers.tune import Tuned

ROWS, DIM = 4000, 16
KINDS = ("hnsw", "ivf", "pq", "ivfpq")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a store of 4,000 made images."""
    path = tmp_path_factory.mktemp("made") / "store"
    generate(path, rows=ROWS, dim=DIM)
    return path


@pytest.fixture
def store(made, tmp_path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store.open(tmp_path / "store")


def oracle(store: Store, name: str, k: int, *, rows: np.ndarray | None = None) -> dict[bytes, float]:
    """Return the k best ids with their scores by float64 matrix product."""
    vectors = store.vectors(store.space())
    X = vectors.matrix.astype(np.float64)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    query = X[_place(store, name)]
    scores = X @ query
    if rows is not None:
        scores[~rows] = -np.inf
    best = np.argsort(-scores, kind="stable")[:k]
    return {vectors.ids[place].tobytes(): float(scores[place]) for place in best}


def _place(store: Store, name: str) -> int:
    hit = search(store, Query(names=[name]), k=1, exact=True).hits[0]
    return int(store.vectors(store.space()).positions(np.frombuffer(hit.id, np.uint8)[None])[0])


def append(store: Store, vectors: np.ndarray, seed: int) -> None:
    """Put more images of a second source into the store, with these vectors."""
    from benchmarks.made.generate import _ids, _images, _members

    ids = _ids(seed, 0, len(vectors))
    store.vectors_table(store.space()).merge(vector_rows(ids, unit(vectors, "made")))
    store.images.merge(_images(ids))
    rows = _members(b"x" * 16, ids, 0, "later")
    store.members.merge(rows.set_column(2, "name", pa.array([f"later/{row}" for row in range(len(ids))])))


@pytest.mark.parametrize("kind", KINDS)
def test_the_recall_that_is_kept_is_what_a_matrix_product_says(store, kind):
    state = build(store, kind=kind, recall=0.9)
    vectors = store.vectors(store.space())
    held = vectors.positions(ids_of(store, store.space(), read(store, store.space()), "held"))
    kept = load(store, store.space(), vectors)
    assert state["queries"] == len(held) == ROWS // 20
    assert state["rows"] == ROWS - len(held)
    assert sorted([*kept.places, *held]) == list(range(ROWS))
    X = vectors.matrix.astype(np.float64)
    for depth in (10, 100):
        effort = state["effort"][str(depth)]
        shares = []
        for place in held:
            scores = X[kept.places] @ X[place]
            border = np.sort(scores)[-depth]
            found = kept.index.search(vectors.matrix[place][None], depth, effort=effort)[0]
            shares.append(np.mean(scores[found.positions] >= border - TIE))
        assert state["recall"][str(depth)] == pytest.approx(np.mean(shares), abs=1e-9)
        assert state["recall"][str(depth)] >= 0.9 or not state["reached"]


def test_an_index_answers_where_it_was_measured_and_the_scan_everywhere_else(store):
    state = build(store, kind="ivf", recall=0.99)
    query = Query(names=["7"])
    answer = search(store, query, k=10)
    assert answer.index == {"kind": "ivf", "recall": state["recall"]["10"], "newer": 0}
    assert not answer.complete
    truth = oracle(store, "7", 10)
    assert len(truth.keys() & {hit.id for hit in answer.hits}) >= 9
    for hit in answer.hits:
        assert hit.score == pytest.approx(truth.get(hit.id, hit.score), abs=1e-6)
    assert search(store, query, k=100).index["recall"] == state["recall"]["100"]
    for options in ({"k": 101}, {"k": 10, "exact": True}, {"threshold": 0.5}, {"k": 10, "where": "ordinal < 100"}):
        found = search(store, query, **options)
        assert found.index == {"kind": "exact", "recall": 1.0}, options
        assert found.complete
    assert [hit.id for hit in search(store, query, k=10, exact=True).hits] == list(truth)
    # Leaving out one image is no reason to compare them all.
    assert search(store, query, k=10, exclude_self=True).index["kind"] == "ivf"
    assert info(store)["indexes"] == [state]


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_later_is_found_at_once_and_added_on_demand(store, kind):
    state = build(store, kind=kind)
    rng = np.random.default_rng(1)
    later = rng.standard_normal((400, DIM)).astype(np.float32)
    append(store, later, seed=5)
    for name in ("later/0", "later/399"):
        answer = search(store, Query(names=[name]), k=5)
        assert answer.hits[0].name == name
        assert answer.hits[0].score == pytest.approx(1, abs=1e-6)
        assert answer.index["newer"] == 400
    added = update(store)
    assert added["rows"] + added["held"] == ROWS + 400
    assert added["rows"] > state["rows"]
    assert added["held"] > state["held"]
    answer = search(store, Query(names=["later/0"]), k=5)
    assert (answer.index["newer"], answer.hits[0].name) == (0, "later/0")
    assert update(store) == {**added, "added": 0, "update_seconds": 0.0}
    vectors = store.vectors(store.space())
    kept = load(store, store.space(), vectors)
    assert sorted([*kept.places, *kept.loose]) == list(range(ROWS + 400))


def test_answers_survive_rows_that_move(store):
    build(store, kind="ivf", recall=0.99)
    before = [(hit.name, hit.score) for hit in search(store, Query(names=["7"]), k=10).hits]
    append(store, np.eye(DIM, dtype=np.float32)[:3], seed=5)
    compact(store)
    answer = search(store, Query(names=["7"]), k=10)
    assert answer.index["kind"] == "ivf"
    assert [(hit.name, hit.score) for hit in answer.hits] == before
    assert search(store, Query(names=["later/1"]), k=1).hits[0].name == "later/1"


def test_what_is_removed_never_comes_back(store):
    build(store, kind="ivf")
    hits = search(store, Query(names=["7"]), k=10).hits
    remove(store, [hits[3].name])
    # The vectors in the index would outlive their images: it goes with them.
    assert list(folder(store, store.space()).glob("*/*")) == []
    answer = search(store, Query(names=["7"]), k=10)
    assert answer.index["kind"] == "exact"
    assert hits[3].id not in {hit.id for hit in answer.hits}
    # `auto` would build none here, and is not what is advised.
    with pytest.raises(BadInput, match=f"has no index.*{ROWS - 1} are compared one by one.*--kind hnsw"):
        update(store)


def test_rows_that_are_gone_from_the_space_are_not_answered_by_an_index_that_has_them(store):
    build(store, kind="ivf", recall=0.99)
    hits = search(store, Query(names=["7"]), k=10).hits
    # As if another program had deleted it.
    store.vectors_table(store.space()).delete(f"id = X'{hits[3].id.hex()}'")
    answer = search(store, Query(names=["7"]), k=10)
    assert answer.index["kind"] == "ivf"
    assert hits[3].id not in {hit.id for hit in answer.hits}
    assert len(answer.hits) == 10
    assert update(store)["rows"] + update(store)["held"] == ROWS - 1


def test_a_build_that_is_killed_leaves_the_index_before_it(store):
    build(store, kind="ivf")
    before = read(store, store.space())
    script = """
import os, sys
import engine.retrieval.kept_index
from engine.retrieval.index import build
from engine.store import Store
engine.retrieval.kept_index.publish = lambda *_: os._exit(9)
build(Store.open(sys.argv[1]), kind="hnsw")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(store.path)], env=environment, check=False)
    assert done.returncode == 9
    assert read(store, store.space())["name"] == before["name"]
    assert search(store, Query(names=["7"]), k=3).index["kind"] == "ivf"
    build(store, kind="hnsw")
    after = read(store, store.space())
    # What the killed build left went with the index before.
    assert [path.name for path in folder(store, store.space()).iterdir() if path.is_dir()] == [after["name"]]


def test_small_collections_are_compared_row_by_row(store):
    assert build(store, kind="ivf")["kind"] == "ivf"
    state = build(store)
    assert (state["kind"], state["recall"], state["bytes"]) == ("flat", {"10": 1.0, "100": 1.0}, 0)
    assert info(store)["indexes"] == []
    assert search(store, Query(names=["7"]), k=3).index["kind"] == "exact"


def test_auto_keeps_the_quickest_of_those_that_reach_the_recall(store, monkeypatch):
    monkeypatch.setattr("indexers.choose.FLAT_NUMBERS", 1000)
    tried = []

    class Told(Silent):
        def begin(self, what, total, unit="images"):
            tried.append(what)

    state = build(store, recall=0.9, progress=Told())
    assert [what for what in tried if "building" in what] == [
        "building an index of kind pq", "building an index of kind ivfpq"
    ]  # fmt: skip
    assert state["kind"] in ("pq", "ivfpq")
    assert state["reached"]
    assert min(state["recall"].values()) >= 0.9
    # No index misses nothing for sure: every row is compared.
    monkeypatch.setattr("engine.retrieval.index.tune", lambda *_, k, **__: Tuned(k, 1, 0.5, False))
    assert build(store)["kind"] == "flat"
    assert read(store, store.space()) is None
    assert not build(store, kind="ivf")["reached"]


def test_a_damaged_index_says_how_to_mend_it_and_a_deleted_one_is_not_missed(store):
    build(store, kind="ivf")
    state = read(store, store.space())
    body = next(path for path in (folder(store, store.space()) / state["name"]).rglob("*.faiss"))
    whole = body.read_bytes()
    body.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreDamaged, match="engine index --space made"):
        search(store, Query(names=["7"]))
    assert len(search(store, Query(names=["7"]), exact=True).hits) == 10
    shutil.rmtree(store.cache)
    assert search(store, Query(names=["7"])).index["kind"] == "exact"


def test_many_queries_at_once_are_those_one_by_one(store):
    searcher = Searcher.open(store, store.space(), exact=True)
    Q = np.array(searcher.vectors.matrix[:40])
    for together, q in zip(searcher.search(Q, 7), Q, strict=True):
        alone = searcher.search(q[None], 7)[0]
        np.testing.assert_array_equal(together.positions, alone.positions)
        np.testing.assert_array_equal(together.scores, alone.scores)
    for together, q in zip(searcher.range_search(Q, 0.5), Q, strict=True):
        np.testing.assert_array_equal(together.positions, searcher.range_search(q[None], 0.5)[0].positions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recall": 0}, "recall of 0"),
        ({"recall": 1.5}, "recall of 1.5"),
        ({"kind": "tree"}, "no index of kind 'tree'"),
        ({"kind": "ivf", "params": {"leaves": "3"}}, "no 'leaves'"),
        ({"kind": "ivf", "params": {"lists": "many"}}, "lists|many"),
        ({"kind": "ivf", "params": {"lists": "-3"}}, "lists"),
        ({"params": {"lists": "3"}}, "one kind"),
        ({"memory": -1}, "-1 bytes"),
        ({"kind": "pq", "memory": 2**20}, "--memory is for --kind auto.*the kind is pq"),
        ({"kind": "ivf", "params": {"lists": "98"}}, "3800 rows cannot train 98 lists.*lists=97"),
        ({"kind": "hnsw", "params": {"m": "99999999999"}}, "m is 99999999999, must be at most"),
        ({"kind": "hnsw", "params": {"ef_construction": "9" * 400}}, "ef_construction is 9+, must be at most"),
        ({"kind": "pq", "params": {"width": "99999999999"}}, "width is 99999999999, must be at most"),
        ({"kind": "ivf", "params": {"lists": "99999999999"}}, "lists is 99999999999, must be at most"),
    ],
)
def test_what_cannot_be_built_is_refused(store, options, message):
    with pytest.raises(BadInput, match=message):
        build(store, **options)
    assert read(store, store.space()) is None


def test_an_empty_store_has_nothing_to_index(tmp_path):
    with pytest.raises(EmptySpace):
        build(Store.create(tmp_path / "store"))


def test_the_python_api_says_the_same(store):
    collection = engine.open(store.path)
    built = collection.index(kind="ivf")
    assert built == info(store)["indexes"][0]
    assert collection.search(id="7").index["kind"] == "ivf"
    assert collection.index(update=True) == {**built, "added": 0, "update_seconds": 0.0}
    with pytest.raises(BadInput, match="what the index was built with"):
        collection.index(update=True, kind="hnsw")
    graph = collection.graph(k=5)
    near = graph.knn.csr()[_place(store, "7")]
    closest = graph.vectors.ids[near.indices[near.data.argmax()]].tobytes()
    assert closest == list(oracle(store, "7", 2))[1]
    assert collection.dedupe(threshold=1.0).groups == []


def test_too_few_images_to_measure_an_index_are_said_and_none_is_kept(tmp_path):
    generate(tmp_path / "few", rows=19, dim=4)
    few = Store.open(tmp_path / "few")
    with pytest.raises(BadInput, match="19 images, too few"):
        build(few, kind="hnsw")
    assert read(few, few.space()) is None
    assert build(few)["kind"] == "flat"


def test_an_index_that_is_too_small_to_be_one_says_exact(tmp_path, engine):
    generate(tmp_path / "few", rows=900, dim=DIM)
    few = Store.open(tmp_path / "few")
    assert build(few, kind="hnsw")["trained"] is False
    answer = search(few, Query(names=["made/7.none"]), k=5)
    assert (answer.index, answer.complete) == ({"kind": "exact", "recall": 1.0}, True)
    assert "so few rows" in engine("index", "--kind", "pq", "--store", few.path).stderr
    append(few, np.random.default_rng(3).standard_normal((900, DIM)).astype(np.float32), seed=5)
    assert update(few)["trained"] is True
    assert search(few, Query(names=["made/7.none"]), k=5).index["kind"] == "pq"


def test_an_index_that_goes_is_told(store, engine):
    build(store, kind="hnsw")
    done = json.loads(engine("remove", "made/3.none", "--json", "--store", store.path).stdout)
    assert (done["images"], done["indexes"], done["graphs"]) == (1, ["made"], [])
    build(store, kind="hnsw")
    said = engine("remove", "made/4.none", "--store", store.path).stderr
    assert "build it again, with the options it had: engine index --space made" in said
    assert build(store)["dropped"] is False
    build(store, kind="hnsw")
    assert "the index before is gone" in engine("index", "--store", store.path).stdout


def test_a_state_that_is_none_is_no_index(store):
    build(store, kind="ivf")
    for text in ("[]", "{}", "5", '"x"'):
        (folder(store, store.space()) / "state.json").write_text(text)
        assert search(store, Query(names=["7"])).index["kind"] == "exact"
