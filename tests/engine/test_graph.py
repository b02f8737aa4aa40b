"""The kNN graph of a space: right, kept, resumed, stale when vectors come or go."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import indexers.graph
from engine.encoders import load as load_encoder
from engine.errors import BadInput, EmptySpace, Interrupted
from engine.fused import matrix_of
from engine.info import info
from engine.ingestion.embed import embed
from engine.ingestion.fill import fuse_spaces
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.neighbors import graph as verb
from engine.neighbors.graph import graph, graphs, load
from engine.remove import remove
from engine.store import Store
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import RED, SPEC, Notes, picture, write_tar


@pytest.fixture
def store(tmp_path, sample_store) -> Store:
    shutil.copytree(sample_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


def nearest(X, k: int):
    """Return the cosines of the k nearest others of each row, in float64."""
    S = X.astype(np.float64) @ X.astype(np.float64).T
    np.fill_diagonal(S, -np.inf)
    return -np.sort(-S, axis=1)[:, :k]


def assert_right(found, k: int) -> None:
    X = found.vectors.matrix[np.arange(len(found.vectors))]
    np.testing.assert_allclose(found.knn.scores, nearest(X, k), atol=2e-6)


def files(store: Store) -> set[str]:
    return {path.suffix for path in (store.cache / "graphs").rglob("*") if path.is_file() and path.suffix}


class Stop(Notes):
    """Presses Ctrl-C after the second block."""

    blocks = 0

    def advance(self, images, rejected=0):
        self.blocks += 1
        if self.blocks == 2:
            signal.raise_signal(signal.SIGINT)


def test_a_graph_is_built_once_and_loaded_by_memory_map(store):
    assert load(store) is None
    made = graph(store)
    assert_right(made, 15)
    assert made.complete and made.new
    before = {path: path.stat().st_mtime_ns for path in (store.cache / "graphs").rglob("*") if path.suffix}
    again = graph(store)
    assert not again.new
    assert isinstance(again.knn.indices.base, np.memmap) or isinstance(again.knn.indices, np.memmap)
    assert again.built == made.built == load(store).built
    assert before == {path: path.stat().st_mtime_ns for path in (store.cache / "graphs").rglob("*") if path.suffix}
    assert files(store) == {".indices", ".scores", ".json"}


def test_a_graph_is_kept_for_each_k_and_cut_to_what_there_is(store):
    assert_right(graph(store, k=3), 3)
    assert graph(store, k=400).knn.k == 339
    assert sorted(one["k"] for one in graphs(store)) == [3, 339]


def test_the_first_columns_of_a_larger_graph_are_a_graph(store, monkeypatch):
    larger = graph(store, k=15)
    fewer = graph(store, k=10)
    assert_right(fewer, 10)
    np.testing.assert_array_equal(fewer.knn.indices, larger.knn.indices[:, :10])
    np.testing.assert_allclose(fewer.knn.csr().toarray().sum(axis=1), fewer.knn.scores.sum(axis=1), rtol=1e-5)
    assert (fewer.built.k, fewer.complete, fewer.new) == (10, True, False)
    assert [one["k"] for one in graphs(store)] == [15]
    assert graph(store, k=10, rebuild=True).built.k == 10
    assert [one["k"] for one in graphs(store)] == [10, 15]
    # Of an approximate one the recall is measured of the columns that are taken.
    monkeypatch.setattr(indexers.graph, "EXACT_FLOPS", 0)
    monkeypatch.setattr(indexers.graph, "DESCENT_BYTES", 0)
    shutil.rmtree(store.cache / "graphs")
    graph(store, k=15)
    seen = graph(store, k=5).built
    assert (seen.kind, seen.k, 0.5 < seen.recall <= 1) == ("ivf", 5, True)
    assert graph(store, k=5, exact=True).complete


def test_it_survives_the_vector_cache_it_was_made_of(store):
    made = graph(store)
    shutil.rmtree(store.cache / "vectors")
    assert load(store).built == made.built
    assert_right(load(store), 15)


def test_a_stopped_build_goes_on_where_it_was(store, monkeypatch):
    monkeypatch.setattr(verb, "BLOCK_ROWS", 100)
    with pytest.raises(Interrupted, match="after 200 of 340 rows"):
        graph(store, progress=Stop())
    assert load(store) is None
    asked = []
    real = verb.neighbors

    def counted(X, rows, source, k):
        asked.extend(rows.tolist())
        return real(X, rows, source, k)

    monkeypatch.setattr(verb, "neighbors", counted)
    notes = Notes()
    assert_right(graph(store, progress=notes), 15)
    assert asked == list(range(200, 340))
    assert notes.notes == ["going on after 200 of 340 rows"]
    assert files(store) == {".indices", ".scores", ".json"}


@pytest.mark.parametrize("damage", ["torn", "short", "other"])
def test_what_a_crash_left_is_not_trusted(store, monkeypatch, damage):
    monkeypatch.setattr(verb, "BLOCK_ROWS", 100)
    with pytest.raises(Interrupted):
        graph(store, progress=Stop())
    (begun,) = (store.cache / "graphs").rglob("begun.json")
    if damage == "torn":
        begun.write_text(begun.read_text()[:20])
    elif damage == "short":
        (scores,) = begun.parent.glob("*.scores")
        scores.write_bytes(scores.read_bytes()[:-1])
    else:
        begun.write_text(json.dumps({**json.loads(begun.read_text()), "identity": "of other vectors"}))
    assert_right(graph(store), 15)
    assert files(store) == {".indices", ".scores", ".json"}


def test_the_last_good_graph_stays_until_the_new_one_is_whole(store, monkeypatch):
    made = graph(store)
    monkeypatch.setattr(verb, "BLOCK_ROWS", 100)
    with pytest.raises(Interrupted):
        graph(store, rebuild=True, progress=Stop())
    assert load(store).built == made.built
    assert_right(load(store), 15)
    again = graph(store, rebuild=True)
    assert again.built.name != made.built.name
    assert_right(again, 15)


def test_a_graph_whose_files_are_cut_is_built_anew(store):
    made = graph(store)
    (scores,) = (store.cache / "graphs").rglob("*.scores")
    scores.write_bytes(scores.read_bytes()[:100])
    assert load(store) is None
    assert graph(store).built.name != made.built.name


def test_new_vectors_make_it_stale(store, tmp_path):
    graph(store)
    assert graphs(store)[0]["fresh"]
    intake(store.path, Request([str(write_tar(tmp_path / "new.tar", {"red.png": picture(RED)}))], workers=1))
    assert load(store) is None
    assert not info(store)["graphs"][0]["fresh"]
    notes = Notes()
    made = graph(store, progress=notes)
    assert notes.notes == ["the graph of space efficientnet_lite0 is stale (340 rows, now 341): built anew"]
    assert_right(made, 15)
    assert (made.built.rows, [one["fresh"] for one in info(store)["graphs"]]) == (341, [True])


def test_removal_takes_the_graphs_with_it(store):
    kept = graph(store)
    remove(store, ["3"])
    assert graphs(store) == []
    assert files(store) == set()
    assert len(kept.knn.indices[339]) == 15
    assert_right(graph(store), 15)


def test_inverted_lists_where_the_size_asks_for_them(store, monkeypatch):
    monkeypatch.setattr(indexers.graph, "EXACT_FLOPS", 0)
    monkeypatch.setattr(indexers.graph, "DESCENT_BYTES", 0)
    made = graph(store)
    assert (made.built.kind, made.built.sample, made.complete) == ("ivf", 340, False)
    X = made.vectors.matrix
    share = float((made.knn.scores >= nearest(X, 15)[:, -1:] - 1e-5).mean())
    assert made.built.recall == pytest.approx(share, abs=1e-3)
    assert made.summary()["recall"] == {"15": made.built.recall}
    # What is there is enough, unless exactness is asked for.
    assert graph(store).built == made.built
    assert graph(store, exact=True).complete
    assert graph(store).complete


def test_a_virtual_space_has_the_graph_of_its_sums(tmp_path, store):
    embed(store, load_encoder(BRIGHTNESS))
    fuse_spaces(store.path, ["efficientnet_lite0=0.8", "brightness=0.2"], space="both", stored=False)
    made = graph(store, "both", k=5)
    assert_right(made, 5)
    np.testing.assert_array_equal(made.vectors.ids, matrix_of(store, store.space("both")).ids)
    assert load(store, "both", k=5).built == made.built
    assert {one["space"]: one["fresh"] for one in graphs(store)} == {"both": True}
    intake(store.path, Request([str(write_tar(tmp_path / "new.tar", {"red.png": picture(RED)}))], workers=1))
    assert load(store, "both", k=5) is None


def test_what_cannot_be_asked(tmp_path, store):
    with pytest.raises(BadInput, match="k is 0"):
        graph(store, k=0)
    tar = write_tar(tmp_path / "one.tar", {"red.png": picture(RED)})
    intake(tmp_path / "one", Request([str(tar)], encoders=[SPEC], workers=1))
    with pytest.raises(EmptySpace, match="has 1 vectors"):
        graph(Store.open(tmp_path / "one"))


def test_the_command_says_what_it_built(store, engine):
    done = engine("graph", "-k", "10", "--json", "--store", store.path)
    found = json.loads(done.stdout)
    assert {key: found[key] for key in ("space", "kind", "rows", "k", "params", "recall", "bytes")} == {
        "space": "efficientnet_lite0", "kind": "exact", "rows": 340, "k": 10, "params": {}, "recall": {"10": 1.0},
        "bytes": 340 * 10 * 8,
    }  # fmt: skip
    again = engine("graph", "-k", "10", "--store", store.path).stdout
    assert "340 rows, 10 neighbours, exact; there already, 26.6 KiB" in again
    assert "exact; built in" in engine("graph", "-k", "10", "--rebuild", "--store", store.path).stdout
    more = engine("graph", "-k", "999", "--store", store.path)
    assert "340 vectors have 339 neighbours each, fewer than -k 999" in more.stderr
    assert "graph of efficientnet_lite0: 340 rows" in engine("info", "--store", store.path).stdout
    assert Path(store.cache / "graphs").is_dir()
