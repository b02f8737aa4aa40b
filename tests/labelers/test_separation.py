"""Separation of labelled rows against scikit-learn and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from labelers import separation as of
from labelers.nearest import label


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def clusters(noise: float, n: int = 200, dim: int = 12, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, dim))
    codes = (np.arange(n) % 4).astype(np.int32)
    return unit(centres[codes] + noise * rng.normal(size=(n, dim))), np.where(codes == 3, -1, codes).astype(np.int32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_neighbours_agree_as_scikit_learn_counts_them():
    X, codes = clusters(1.0)
    found = NearestNeighbors(n_neighbors=6, metric="cosine").fit(X).kneighbors(X, return_distance=False)[:, 1:]
    shares = (codes[found] == codes[:, None]).mean(axis=1)
    np.testing.assert_allclose(of.neighbour_shares(X, codes, np.arange(len(X)), k=5), shares)
    whole = of.separation(X, codes, k=5)
    assert whole.knn_agreement == pytest.approx(shares[codes >= 0].mean())
    np.testing.assert_allclose(whole.shares, shares[whole.rows])


def test_a_row_is_no_neighbour_of_its_own():
    X = unit(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 1]], np.float64))
    codes = np.array([0, 0, 1, 0, -1], np.int32)
    assert of.neighbour_shares(X, codes, np.arange(4), k=1).tolist() == [1, 1, 0, 0]
    # More neighbours than there are: all others.
    assert of.neighbour_shares(X, codes, np.arange(4), k=9).tolist() == [0.5, 0.5, 0, 0.5]


def test_sampled_pairs_have_the_mean_of_all_pairs(rng):
    X, codes = clusters(0.7)
    same, other = of.pair_scores(X, codes, rng=rng)
    cosines = X.astype(np.float64) @ X.T.astype(np.float64)
    alike = (codes[:, None] == codes) & (codes >= 0)[:, None] & ~np.eye(len(X), dtype=bool)
    apart = (codes[:, None] != codes) & (codes >= 0)[:, None]
    assert same.mean() == pytest.approx(cosines[alike].mean(), abs=0.02)
    assert other.mean() == pytest.approx(cosines[apart].mean(), abs=0.02)
    # Each is the cosine of some pair of its kind.
    for scores, mask in ((same, alike), (other, apart)):
        levels = np.sort(cosines[mask])
        places = np.clip(np.searchsorted(levels, scores), 1, len(levels) - 1)
        assert np.minimum(np.abs(levels[places] - scores), np.abs(levels[places - 1] - scores)).max() < 1e-12
        assert (np.diff(scores) >= 0).all()


def test_the_threshold_needed_is_as_precise_as_asked_and_no_lower_one_is():
    X, codes = clusters(0.8)
    needed = of.threshold_needed(X, codes, precision=0.9, rng=np.random.default_rng(3), draws=1)
    # The same draw again, counted one threshold at a time.
    rng = np.random.default_rng(3)
    chosen = np.concatenate([rng.choice(np.flatnonzero(codes == c), 1, False) for c in range(3)])
    rest = np.setdiff1d(np.arange(len(X)), chosen)
    known = of.Exemplars(("0", "1", "2"), X[chosen], codes[chosen], np.ones(3, bool))

    def measured(threshold: float) -> tuple[float, float]:
        found = label(X[rest], known, threshold=threshold).codes
        right = (found == codes[rest]) & (found >= 0)
        return right.sum() / (found >= 0).sum(), right.sum() / (codes[rest] >= 0).sum()

    assert (needed.precision, needed.recall) == pytest.approx(measured(needed.threshold))
    assert needed.precision >= 0.9
    scores = label(X[rest], known, threshold=-1.0).scores
    assert all(measured(t)[0] < 0.9 for t in scores[scores < needed.threshold])


def test_a_precision_out_of_reach_is_nan(rng):
    X, codes = clusters(0.5)
    shuffled = np.random.default_rng(1).permutation(codes)
    found = of.threshold_needed(X, shuffled, precision=1.0, rng=rng)
    assert np.isnan([found.threshold, found.precision, found.recall]).all()


def test_a_space_that_separates_is_better_in_every_number():
    good, bad = (of.separation(*clusters(noise)) for noise in (0.2, 1.5))
    assert good.knn_agreement > bad.knn_agreement
    assert good.silhouette > bad.silhouette
    assert good.same.mean() - good.other.mean() > bad.same.mean() - bad.other.mean()
    assert good.needed.recall > np.nan_to_num(bad.needed.recall)
    assert good.needed.precision >= 0.95


def test_a_seed_gives_the_same_again():
    first, again = (of.separation(*clusters(0.8), seed=5) for _ in range(2))
    assert first.knn_agreement == again.knn_agreement
    assert first.needed == again.needed
    np.testing.assert_array_equal(first.same, again.same)


@pytest.mark.parametrize("codes", [[0] * 6, [-1] * 6, [0, 0, 0, 0, 0, 1], [0, 1]])
def test_too_little_to_tell_apart_is_refused(codes):
    with pytest.raises(ValueError, match=r"two classes|shape"):
        of.separation(np.eye(6, dtype=np.float32), np.array(codes, np.int32))


def test_a_class_of_near_duplicates_is_found():
    X = unit(np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1], [1, 1], [0.2, 1], [1, 0]], np.float64))
    codes = np.array([0, 0, 0, 1, 1, 2, -1], np.int32)
    assert of.near_duplicates(X, codes, threshold=0.96).tolist() == [0]
    # One row alone is no group.
    assert of.near_duplicates(X, codes, threshold=-1).tolist() == [0, 1]
