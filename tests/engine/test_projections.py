"""Projections: principal components against NumPy's SVD, and how well neighbours stay neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from engine.mapping.pca import BLOCK_ROWS, pca
from engine.mapping.projections import NEIGHBORS, PROJECTIONS, project
from indexers.graph import build

# The share of the 12 nearest that a layout must keep, less what scikit-learn takes off for strangers among them.
# Measured: umap 0.985, tsne 0.989, pca 0.84.
FLOOR = {"umap": 0.97, "tsne": 0.97, "pca": 0.80}


def unit(X: np.ndarray) -> np.ndarray:
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return unit(load_digits().data[:700])


def test_pca_is_the_svd_of_the_centred_rows(digits):
    centred = digits - digits.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:5].T
    found = pca(digits, dim=5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    assert found.dtype == np.float32


def test_the_sign_of_an_axis_is_that_of_its_largest_entry(digits):
    centred = digits - digits.mean(axis=0, dtype=np.float64)
    found = pca(digits, dim=3)
    axes = np.linalg.lstsq(found, centred, rcond=None)[0]
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in axes)


def test_pca_in_blocks_is_pca_at_once():
    X = unit(np.random.default_rng(0).normal(size=(BLOCK_ROWS + 7, 6)) * np.arange(1, 7))
    centred = X - X.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(pca(X, dim=2)), np.abs(centred @ axes[:2].T), atol=1e-4)


@pytest.mark.parametrize("method", PROJECTIONS)
def test_neighbours_stay_neighbours_and_a_seed_gives_the_same_layout(method, digits):
    graph = build(digits, NEIGHBORS[method]) if NEIGHBORS[method] else None
    found = project(digits, method=method, graph=graph, seed=3)
    assert found.shape == (len(digits), 2) and found.dtype == np.float32
    assert trustworthiness(digits, found, n_neighbors=12, metric="cosine") >= FLOOR[method]
    np.testing.assert_array_equal(found, project(digits, method=method, seed=3))


@pytest.mark.parametrize("method", PROJECTIONS)
@pytest.mark.parametrize("n", [3, 4, 17])
def test_few_rows_are_laid_out_too(method, n, digits):
    found = project(digits[:n], method=method)
    assert np.isfinite(found).all() and len(np.unique(found, axis=0)) > 1


@pytest.mark.parametrize("method", PROJECTIONS)
def test_rows_that_are_there_many_times_are_no_obstacle(method, digits):
    found = project(np.repeat(digits[:2], 40, axis=0), method=method)
    assert np.isfinite(found).all()


def test_umap_and_pca_give_more_dimensions(digits):
    told: list[tuple[int, int]] = []
    found = project(digits[:100], method="umap", dim=10, told=lambda *heard: told.append(heard))
    assert found.shape == (100, 10)
    # All epochs of a small set, counted.
    assert told == sorted(told) and told[-1] == (500, 500)
    assert project(digits[:100], method="pca", dim=50).shape == (100, 50)


@pytest.mark.parametrize("method", PROJECTIONS)
@pytest.mark.parametrize(
    ("rows", "words"),
    [(np.eye(2, 8), "too few"), (np.ones((5, 8)), "the same"), (np.full((5, 8), np.nan), "not finite")],
)
def test_what_cannot_be_laid_out_is_refused(method, rows, words):
    with pytest.raises(ValueError, match=words):
        project(rows.astype(np.float32), method=method)


def test_wrong_arguments_are_refused(digits):
    with pytest.raises(ValueError, match="unknown method 'mds'"):
        project(digits, method="mds")
    with pytest.raises(ValueError, match="65 dimensions"):
        project(digits, method="pca", dim=65)
    with pytest.raises(ValueError, match="1 to 3 dimensions"):
        project(digits[:50], method="tsne", dim=4)
    with pytest.raises(ValueError, match="does not belong"):
        project(digits, method="umap", graph=build(digits[:100], 5))
