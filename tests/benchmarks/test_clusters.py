"""The suite of clusters at scale: what its rows say, that its steps resume, and figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bench import bench
from benchmarks.job import Settings
from benchmarks.made.clustered import Clustered
from benchmarks.suites import clusters, scale
from engine.progress import Silent
from indexers.graph import build


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path / "clusters", tmp_path, rows=600, quick=True)


def test_every_step_is_a_row_with_its_memory_and_a_stopped_run_goes_on(settings, monkeypatch):
    rows = []
    for one in bench("clusters", settings, Silent()):
        rows.append(one)
        if one["method"] == "kmeans":
            break
    made = settings.output / "made-600"
    assert [one["method"] for one in rows] == ["graph", "kmeans"]
    graph, kmeans = rows
    assert graph["metrics"]["recall"] == 1 and graph["params"]["kind"] == "exact"
    assert kmeans["params"] == {"rows": 600, "dim": 512, "k": 20, "full_iterations": 20}
    assert 0.5 < kmeans["metrics"]["inertia_ratio"] < 1.2
    assert kmeans["metrics"]["products"] > 0 and kmeans["metrics"]["clusters"] == 20
    # What the stopped run has made is read again; the graph is, if it is gone, made again.
    (made / scale.INDICES).unlink()
    again = list(bench("clusters", settings, Silent()))
    assert again[:2] == rows and [one["method"] for one in again[2:]] == ["leiden", "spectral"]
    assert again[3]["params"]["k"] == 20 == again[3]["metrics"]["clusters"]
    for one in again:
        assert one["metrics"]["met"] and 2**20 < one["peak_bytes"] < one["metrics"]["at_most_bytes"] == 8 * 2**30
        assert one["machine"]["cores"] >= 1 and one["machine"]["processor"]
    assert "| peak_bytes |" in (settings.output / "quick.md").read_text()
    assert not made.exists()


def test_a_step_that_fails_is_a_row_that_says_why(settings):
    made = clusters.Made(settings.output, 300, 0, Silent())
    (one,) = clusters._method(made, "spectral", 400)
    assert one["available"] is False and "exit 1: ValueError: 400 clusters of 300 rows" in one["note"]


def test_the_stored_graph_is_that_of_the_rows(tmp_path):
    Clustered(200, 16).save(tmp_path / scale.ROWS)
    X = np.concatenate(list(Clustered(200, 16).blocks()))
    np.testing.assert_array_equal(scale.rows_of(tmp_path), X)
    assert scale.STEPS["graph"](tmp_path, 0, 0)["kind"] == "exact"
    np.testing.assert_array_equal(scale.graph_of(tmp_path).indices, build(X, scale.NEIGHBOURS).indices)


def test_inertia_is_the_sum_of_squared_distances_to_the_nearest_centre():
    X = np.concatenate(list(Clustered(300, 16).blocks()))
    apart = ((X[:, None].astype(np.float64) - X[:7]) ** 2).sum(axis=2)
    assert scale.inertia(X, X[:7]) == pytest.approx(apart.min(axis=1).sum(), rel=1e-5)
