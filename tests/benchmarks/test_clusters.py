"""The suite of clusters: what its rows say, and that k-means is set beside what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import clusters
from benchmarks.bench import bench
from benchmarks.clustered import Clustered
from benchmarks.job import Settings
from engine.progress import Silent
from labelers.clusters import CLUSTERERS


def test_every_method_has_a_row_for_digits_and_k_means_its_speed(tmp_path):
    settings = Settings(tmp_path / "clusters", tmp_path, ("digits",), ("pixels",), seeds=1, rows=600, quick=True)
    rows = list(bench("clusters", settings, Silent()))
    by_method = {one["method"]: one for one in rows if one["dataset"] == "digits"}
    assert set(by_method) == set(CLUSTERERS)
    for method, one in by_method.items():
        metrics, given = one["metrics"], method not in ("leiden", "hdbscan")
        assert one["params"]["k"] == (10 if given else None)
        assert metrics["clusters"] == 10 or not given
        assert one["chance"]["nmi"] < metrics["nmi"] < 1
        assert metrics["nmi"] > 0.5
    (speed,) = [one for one in rows if one["dataset"] == "clustered-600"]
    assert speed["params"]["k"] == 20
    assert 0.5 < speed["metrics"]["inertia_ratio"] < 1.2
    assert speed["metrics"]["products"] > 0
    assert (tmp_path / "clusters" / "quick.md").exists()
    assert not (tmp_path / "clusters" / "vectors.npy").exists()


def test_inertia_is_the_sum_of_squared_distances_to_the_nearest_centre():
    X = np.concatenate(list(Clustered(300, 16).blocks()))
    apart = ((X[:, None].astype(np.float64) - X[:7]) ** 2).sum(axis=2)
    assert clusters._inertia(X, X[:7]) == pytest.approx(apart.min(axis=1).sum(), rel=1e-5)
