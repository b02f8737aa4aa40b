"""Files of the cache: derived, deletable, and not always left alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.made.clustered import Clustered
from benchmarks.made.generate import generate
from engine.errors import StoreDamaged
from engine.info import info
from engine.neighbors.dedupe import dedupe
from engine.neighbors.graph import graph, graphs
from engine.neighbors.graph import load as load_graph
from engine.remove import remove
from engine.retrieval.index import build
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from engine.verify import repair, verify

ROOT = Path(__file__).parents[2]
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


# --- files that somebody changed ---


def changed(path: Path) -> None:
    """Write other bytes over the middle of a file, which stays as long as it was."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        there = file.read(8)
        file.seek(path.stat().st_size // 2)
        file.write(bytes(255 - byte for byte in there))


@pytest.fixture(scope="module")
def truth(made) -> list[tuple[str, float]]:
    return hits(Store.open(made))


@pytest.mark.parametrize(
    "pattern", ["vectors/*/*.ids", "vectors/*/*.f32", "indexes/*/*/*.places.npy", "indexes/*/*/*.loose.npy"]
)
def test_a_file_that_was_changed_is_made_anew(store, truth, pattern):
    (path,) = store.cache.glob(pattern)
    changed(path)
    assert hits(store) == truth
    assert verify(store).ok


@pytest.mark.parametrize("part", ["indices", "scores"])
def test_a_graph_that_was_changed_is_built_anew(store, made, part):
    before = graph(Store.open(made), k=5).knn
    (path,) = store.cache.glob(f"graphs/*/k5/*.{part}")
    changed(path)
    assert load_graph(store, k=5) is None
    again = graph(store, k=5).knn
    np.testing.assert_array_equal(again.indices, before.indices)
    np.testing.assert_array_equal(again.scores, before.scores)


@pytest.mark.parametrize("pattern", ["*/ids", "*/held", "*/probe.npy", "*/index/index.faiss", "*/index/index.json"])
def test_an_index_that_was_changed_is_refused(store, pattern):
    (path,) = store.cache.glob(f"indexes/*/{pattern}")
    changed(path)
    with pytest.raises(StoreDamaged, match=r"not as it was written.*engine index --space made"):
        hits(store)


@pytest.mark.parametrize("pattern", ["vectors/*/*.f32", "graphs/*/k5/*.scores", "indexes/*/*/index/index.faiss"])
def test_verify_reads_the_cache_and_repair_takes_out_what_was_changed(store, truth, pattern):
    (path,) = store.cache.glob(pattern)
    times = path.stat()
    changed(path)
    # Even where the file's own time says nothing.
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    (problem,) = verify(store).problems
    assert problem.startswith(f"cache/{pattern.split('/')[0]}/space_made_")
    assert "engine verify --repair" in problem
    (said,) = repair(store)
    assert "counts no more" in said
    assert verify(store).ok
    assert hits(store) == truth


def test_a_copied_store_has_its_cache(store, truth):
    before = sorted(store.cache.rglob("*"))
    assert hits(store) == truth
    assert graph(store, k=5).built.seconds == graphs(store)[0]["seconds"]
    assert sorted(store.cache.rglob("*")) == before


# --- an index of another store ---


def with_index_of(store: Store, other: Store) -> None:
    shutil.rmtree(other.cache / "indexes", ignore_errors=True)
    shutil.copytree(store.cache / "indexes", other.cache / "indexes")


def test_an_index_of_other_vectors_of_the_same_images_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.made.generate.Clustered", lambda rows, dim, _: Clustered(rows, dim, 1))
    other = generate(tmp_path / "other", rows=ROWS, dim=DIM)
    with_index_of(store, other)
    with pytest.raises(StoreDamaged, match="built of other vectors"):
        hits(other)


def test_an_index_of_the_same_vectors_at_other_places_is_as_good(store, tmp_path):
    other = generate(tmp_path / "other", rows=ROWS, dim=DIM)
    remove(other, [f"made/{row}.none" for row in range(0, 700, 9)])
    with_index_of(store, other)
    answer = search(other, Query(names=["made/7.none"]), k=20)
    assert answer.index["kind"] == "ivf"
    exact = search(other, Query(names=["made/7.none"]), k=20, exact=True)
    assert len({hit.id for hit in answer.hits} & {hit.id for hit in exact.hits}) >= 18
    scores = {hit.id: hit.score for hit in exact.hits}
    assert all(hit.score == scores.get(hit.id, hit.score) for hit in answer.hits)


# --- a store that cannot be written ---


@pytest.fixture
def obedient() -> list[str]:
    """Return what a command is begun with so that permissions hold for it, which they do not for root."""
    if os.geteuid():
        return []
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    if shutil.which("setpriv") is None or subprocess.run([*without, "true"], check=False).returncode:
        pytest.skip("root cannot be kept from writing here")
    return without


@pytest.mark.parametrize("left", ["all", "state", "index", "nothing"])
def test_a_store_that_cannot_be_written_is_searched(store, truth, obedient, left):
    gone = {"all": "no", "state": "cache/vectors/*/state.json", "index": "cache/vectors", "nothing": "cache"}[left]
    for path in store.path.glob(gone):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    subprocess.run(["chmod", "-R", "a-w", store.path], check=True)
    before = {path: path.lstat().st_ctime_ns for path in store.path.rglob("*")}
    asked = ["search", "--id", "made/7.none", "-k", "5", "--json", "--store", store.path]
    done = subprocess.run(
        [*obedient, sys.executable, "-m", "engine", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = {path: path.lstat().st_ctime_ns for path in store.path.rglob("*")}
    subprocess.run(["chmod", "-R", "u+w", store.path], check=True)
    assert done.returncode == 0, done.stderr
    assert after == before
    answer = json.loads(done.stdout)
    assert [(hit["name"], hit["score"]) for hit in answer["hits"]] == truth
    assert answer["index"]["kind"] == ("exact" if left == "nothing" else "ivf")
    said = [] if left == "all" else ["the store cannot be written"]
    assert [note.split(":")[0] for note in answer["notes"]] == said


def without_writing(store: Store, obedient: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command on the store while nothing in it can be written."""
    subprocess.run(["chmod", "-R", "a-w", store.path], check=True)
    try:
        command = [*obedient, sys.executable, "-m", "engine", *arguments, "--store", store.path, "--json"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["chmod", "-R", "u+w", store.path], check=True)


def test_a_store_that_cannot_be_written_is_verified(store, obedient):
    whole = verify(store)
    done = without_writing(store, obedient, "verify")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["problems"]) == (0, True, [])
    assert (found["members"], found["images"], found["spaces"]) == (whole.members, whole.images, whole.spaces)
    assert [note for note in found["notes"] if note not in whole.notes] == [
        "the store cannot be written here: it was counted as it lies, whatever another machine may be writing to it"
    ]


def test_duplicates_in_a_store_that_cannot_be_written_come_from_a_fresh_graph(store, obedient):
    asked = ["dedupe", "--threshold", "0.999", "--dry-run"]
    done = without_writing(store, obedient, *asked)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "engine graph --space made -k 15" in done.stderr
    graph(store)
    done = without_writing(store, obedient, *asked)
    assert done.returncode == 0, done.stderr
    groups = dedupe(store, threshold=0.999, dry_run=True).groups
    assert json.loads(done.stdout)["groups"] == [[one.name for one in group.pictures] for group in groups]


@pytest.mark.parametrize(
    "damage",
    [
        *({name: None} for name in ("trained", "effort", "held", "rows", "kind", "target", "cache")),
        {"recall": {"ten": 0.9}}, {"recall": []}, {"effort": {}}, {"effort": {"10": "x", "100": "y"}}, {"held": "x"},
    ],
)  # fmt: skip
def test_an_index_whose_state_lacks_something_is_refused(store, damage):
    (path,) = store.cache.glob("indexes/*/state.json")
    state = json.loads(path.read_text())
    lost = {name for name, value in damage.items() if value is None}
    path.write_text(json.dumps({name: value for name, value in {**state, **damage}.items() if name not in lost}))
    with pytest.raises(StoreDamaged, match=r"not as it was written.*build it again: engine index --space made"):
        hits(store)
    assert info(store)["indexes"] == []
