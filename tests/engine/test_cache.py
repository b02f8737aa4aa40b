"""Files of the cache: derived, deletable, and not always left alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.generate import generate
from engine.neighbors.graph import graph
from engine.remove import remove
from engine.retrieval.index import build
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store

ROWS, DIM = 2000, 8


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a store with everything in its cache."""
    store = generate(tmp_path_factory.mktemp("made") / "store", rows=ROWS, dim=DIM)
    build(store, kind="ivf", recall=0.9)
    graph(store, k=5)
    hits(store)
    return store.path


@pytest.fixture
def store(made, tmp_path) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store.open(tmp_path / "store")


def hits(store: Store) -> list[tuple[str, float]]:
    answer = search(store, Query(names=["made/7.none"]), k=5)
    return [(hit.name, hit.score) for hit in answer.hits]


# --- links and foreign folders ---


@pytest.fixture
def outside(tmp_path) -> Path:
    """Return a folder that is not ours, with files that are called like ours."""
    folder = tmp_path / "outside"
    (folder / "k5").mkdir(parents=True)
    for path in (folder, folder / "k5"):
        for name in ("state.json", ".lock", "thesis.ids"):
            (path / name).write_text("mine")
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("room", ["vectors", "graphs", "indexes"])
@pytest.mark.parametrize("where", ["", "TABLE", "TABLE/link", "TABLE/.lock", "TABLE/k5", "other"])
def test_a_link_in_the_cache_goes_and_what_it_points_to_stays(store, outside, room, where):
    before = contents(outside)
    link = store.cache / room / where.replace("TABLE", store.space().table)
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(outside / ".lock" if where.endswith(".lock") else outside)
    assert len(hits(store)) == 5
    graph(store, k=5)
    assert contents(outside) == before
    assert remove(store, ["made/3.none"]).images == 1
    assert contents(outside) == before
    assert not link.is_symlink()


@pytest.mark.parametrize("room", ["vectors", "graphs", "indexes"])
def test_foreign_folders_go_with_what_is_removed(store, room):
    for folder in (store.cache / room, store.cache / room / store.space().table):
        (folder / "foreign" / "deep").mkdir(parents=True)
        (folder / "foreign" / "deep" / "file").write_text("x")
        (folder / "file").write_text("x")
    remove(store, ["made/3.none"])
    left = [path.name for path in (store.cache / room / store.space().table).rglob("*") if path.is_file()]
    assert set(left) <= {".lock", ".building"}
    assert len(hits(store)) == 5


def test_the_cache_may_lie_on_another_disk(store, tmp_path):
    store.cache.rename(tmp_path / "elsewhere")
    (store.path / "cache").symlink_to(tmp_path / "elsewhere")
    found = hits(store)
    assert remove(store, ["made/3.none"]).indexes == ["made"]
    assert hits(store) == found
    assert (store.path / "cache").is_symlink()
