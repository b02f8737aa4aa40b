"""Clusters beside classes: figures on colours that are worked out by hand, and runs that can be repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench import bench
from benchmarks.datasets import Unavailable
from benchmarks.job import Settings
from benchmarks.lines.results import Row
from benchmarks.subjects import leakage
from benchmarks.subjects.clusterer import WAYS, clusters, exact_graph
from benchmarks.suites.clustering import figures
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.progress import Silent
from labelers.clusters import CLUSTERERS
from tests.engine.colour import SPEC, picture

PER_CLASS = 20
COLOURS = {"red": (200, 20, 20), "green": (20, 180, 20), "blue": (20, 20, 220)}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Return a store of three classes of one colour each, a little uneven, without splits."""
    folder = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            shade = tuple(int(value) for value in np.clip(np.array(colour) + rng.integers(-15, 16, 3), 0, 255))
            (folder / "pictures" / name / f"{number}.png").write_bytes(picture(shade))
    request = Request(
        [str(folder / "pictures")], encoders=[SPEC], labels_from_folders=True, workers=1, autoencoder=False
    )
    intake(folder / "store", request)
    return folder / "store"


def run(suite: str, folder: Path, data: Path, **facts) -> list[Row]:
    return list(bench(suite, Settings(folder / suite, data=data, seeds=2, **facts), Silent()))


def test_every_clusterer_is_measured():
    assert {way.method for way in WAYS} == set(CLUSTERERS)


def test_figures_stand_beside_chance():
    truth = np.array([0, 0, 1, 1], np.int32)
    found, chance = figures(truth, np.array([0, 0, 0, 1], np.int32), None, 0)
    # Pairs: {0,1} together and {0,3}, {1,3} apart in both; {2,3}, {0,2}, {1,2} in one alone: 3 of 6 agree.
    assert found["ri"] == pytest.approx(3 / 6) and found["accuracy"] == pytest.approx(3 / 4)
    assert found["clusters"] == 2 and found["noise"] == 0 and found["silhouette"] is None
    assert chance["ari"] == 0 and 0 < chance["ri"] < 1


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_method_finds_what_is_apart(way):
    rng = np.random.default_rng(0)
    X = np.repeat(np.eye(3, 16, dtype=np.float32), 30, axis=0) + 0.05 * rng.standard_normal((90, 16)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    codes = clusters(way, X, 3, seed=0, graph=lambda: exact_graph(X), progress=Silent())
    assert codes.shape == (90,) and way.asked(3)["k"] in (3, "found")
    # No cluster has rows of two classes.
    for code in np.unique(codes[codes >= 0]):
        assert len(np.unique(np.flatnonzero(codes == code) // 30)) == 1


@pytest.mark.parametrize("way", [way for way in WAYS if not way.draws], ids=str)
def test_what_is_said_to_draw_nothing_gives_the_same_with_every_seed(way):
    X = np.random.default_rng(1).standard_normal((200, 8)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    found = [clusters(way, X, 7, seed=seed, graph=lambda: exact_graph(X), progress=Silent()) for seed in (0, 1, 2)]
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_what_draws_nothing_runs_once_and_says_so(path, tmp_path):
    rows = run("clustering", tmp_path, path, spaces=("colour",))
    seeds: dict[str, list[int | None]] = {}
    for one in rows:
        seeds.setdefault(one["method"] + one["params"].get("reduce", ""), []).append(one["seed"])
    once = {name for name, given in seeds.items() if given == [None]}
    assert once == {"agglomerative", "hdbscan"} and len(seeds) == len(WAYS)
    assert all(given == [0, 1] for name, given in seeds.items() if name not in once)
    report = (tmp_path / "clustering" / "report.md").read_text()
    (line,) = [line for line in report.splitlines() if line.startswith("| colour | agglomerative, k 3 |")]
    assert "| deterministic, 1 run |" in line and "±" not in line


def test_a_method_that_takes_too_much_memory_is_not_available(monkeypatch):
    monkeypatch.setattr("engine.clustering.memory.available", lambda: 1)
    X = np.eye(30, dtype=np.float32)
    with pytest.raises(Unavailable, match="memory"):
        clusters(WAYS[0], X, 3, seed=0, graph=lambda: exact_graph(X), progress=Silent())


def test_spaces_are_compared_by_the_clusters_of_one_method(path, tmp_path):
    rows = run("representations", tmp_path, path)
    assert [(one["space"], one["method"], one["seed"]) for one in rows] == [
        ("pixels", "kmeans", 0), ("pixels", "kmeans", 1), ("colour", "kmeans", 0), ("colour", "kmeans", 1),
    ]  # fmt: skip
    for one in rows:
        assert one["images"] == 3 * PER_CLASS and one["split"] == "all" and one["params"] == {"k": 3}
        assert one["metrics"]["nmi"] == pytest.approx(1) and one["metrics"]["accuracy"] == pytest.approx(1)
        assert one["leakage"] is None and one["chance"]["ri"] == pytest.approx(0.55, abs=0.02)
    report = (tmp_path / "representations" / "report.md").read_text()
    assert "| colour | kmeans, k 3 | 1.000 ± 0.000 | 1.000 ± 0.000 |" in report
    assert (tmp_path / "representations" / "report.png").read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in (tmp_path / "representations" / "report.html").read_text()


@pytest.mark.parametrize("suite", ["representations", "clustering"])
def test_a_second_run_gives_every_figure_again(suite, path, tmp_path):
    first, second = (run(suite, tmp_path / name, path, spaces=("colour", "pixels")) for name in ("one", "two"))
    assert [one["key"] for one in first] == [one["key"] for one in second]
    for one, other in zip(first, second, strict=True):
        # Colours have three axes in both spaces, and no layout of ten.
        assert one["available"] == ("reduce" not in one["params"])
        assert one["metrics"].keys() == other["metrics"].keys()
        for name, value in one["metrics"].items():
            assert other["metrics"][name] == pytest.approx(value, abs=1e-3), f"{one['method']}: {name}"


def test_a_quick_run_needs_no_data(tmp_path, monkeypatch):
    """The bundled photos and scikit-learn's digits, without the network: twice, from nothing."""
    monkeypatch.setattr(leakage, "NETWORK", "none")
    first, second = (
        run("representations", tmp_path / name, tmp_path / "nothing", quick=True, spaces=("pixels",))
        for name in ("one", "two")
    )
    assert [(one["dataset"], one["seed"], one["quick"]) for one in first] == [
        ("sample", 0, True), ("sample", 1, True), ("digits", 0, True), ("digits", 1, True),
    ]  # fmt: skip
    assert [one["images"] for one in first] == [340, 340, 300, 300]
    for one, other in zip(first, second, strict=True):
        for name in ("nmi", "ari", "ri", "accuracy"):
            assert other["metrics"][name] == pytest.approx(one["metrics"][name], abs=1e-3)
    # Of the digits pixels alone tell much, of photos less.
    assert first[2]["metrics"]["nmi"] > 0.6 > first[0]["metrics"]["nmi"] > first[0]["chance"]["nmi"]


def test_without_data_every_row_says_what_to_do(tmp_path):
    rows = run("representations", tmp_path, tmp_path / "nothing", datasets=("cifar10", "mnist"))
    assert [(one["dataset"], one["available"]) for one in rows] == [("cifar10", False), ("mnist", False)]
    assert all("--download" in one["note"] for one in rows)
    assert "Not available" in (tmp_path / "representations" / "report.md").read_text()
