from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from labelers import silhouette as module
from labelers.silhouette import silhouette


def groups(noise: float, n: int = 200, dim: int = 12):
    rng = np.random.default_rng(0)
    codes = (np.arange(n) % 4).astype(np.int32)
    X = rng.normal(size=(4, dim))[codes] + noise * rng.normal(size=(n, dim))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    return X, np.where(codes == 3, -1, codes).astype(np.int32)


def of(X, codes, sample=10_000, seed=0):
    return silhouette(X, codes, rng=np.random.default_rng(seed), sample=sample)


def expected(X, codes):
    return silhouette_score(X[codes >= 0].astype(np.float64), codes[codes >= 0], metric="cosine")


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request, monkeypatch):
    if request.param == "many blocks":
        monkeypatch.setattr(module, "ROWS", 7)
        monkeypatch.setattr(module, "CELLS", 50)


def test_four_rows_worked_out_by_hand():
    X = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    # Distances to the own group 0.4, 0.4; to the other (1 + 2) / 2, (0.2 + 1.6) / 2. The other group: 1 and 1 within;
    # (1 + 0.2) / 2, (2 + 1.6) / 2 to the first.
    widths = [1 - 0.4 / 1.5, 1 - 0.4 / 0.9, 0.6 / 1 - 1, 1 - 1 / 1.8]
    assert of(X, np.array([0, 0, 1, 1], np.int32)) == pytest.approx(np.mean(widths), abs=1e-7)


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_it_is_scikit_learns(noise, blocks):
    X, codes = groups(noise)
    assert of(X, codes) == pytest.approx(expected(X, codes), abs=1e-6)


def test_a_group_of_one_row_has_width_zero_and_is_a_neighbour_of_others(blocks):
    X, codes = groups(0.5)
    codes[:40:3] = 100 + np.arange(14)
    assert of(X, codes) == pytest.approx(expected(X, codes), abs=1e-6)


def test_one_group_has_none_and_rows_all_alone_have_zero():
    X, _ = groups(0.5)
    assert np.isnan(of(X, np.zeros(len(X), np.int32)))
    assert np.isnan(of(X, np.full(len(X), -1, np.int32)))
    assert of(X, np.arange(len(X), dtype=np.int32)) == 0


def test_duplicates_and_one_point_have_width_zero():
    X = np.tile(np.array([[0.6, 0.8]], np.float32), (6, 1))
    assert of(X, np.array([0, 0, 0, 1, 1, 1], np.int32)) == pytest.approx(0, abs=1e-6)


def test_a_sample_comes_close_to_all_and_a_seed_gives_it_again():
    X, codes = groups(0.5, n=2000)
    assert of(X, codes, sample=500) == pytest.approx(of(X, codes), abs=0.02)
    assert of(X, codes, sample=500, seed=3) == of(X, codes, sample=500, seed=3)
    assert of(X, codes, sample=500, seed=3) != of(X, codes, sample=500, seed=4)


def test_a_vector_that_is_not_finite_is_refused():
    X, codes = groups(0.5)
    X[7, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        of(X, codes)
