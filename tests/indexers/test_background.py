"""The background of random pairs, against all pairs counted one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexers import background
from indexers.background import Background, kept, measure


def rows(n: int, dim: int = 8, seed: int = 3) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, dim)) + 0.5
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def all_pairs(X: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of rows, in no order, at the precision that scores are compared in."""
    X = X.astype(np.float64)
    return np.array([(X[a] * X[b]).sum() for a, b in combinations(range(len(X)), 2)]).astype(np.float32)


@pytest.mark.parametrize("n", [2, 3, 40, 140])
def test_a_rate_is_the_share_of_pairs_that_reach_the_score(n):
    X = rows(n)
    pairs, found = all_pairs(X), measure(X)
    assert found.pairs == len(pairs) == n * (n - 1) // 2
    assert found.spread == pytest.approx(pairs.std(dtype=np.float64))
    asked = np.concatenate([pairs[:50].astype(np.float64), np.linspace(-1.1, 1.1, 23)])
    expected = [(np.count_nonzero(pairs >= np.float32(score)) + 1) / (len(pairs) + 1) for score in asked]
    assert found.fpr(asked) == pytest.approx(expected, abs=0)


@pytest.mark.parametrize("share", [1e-3, 0.01, 0.2, 0.9, 1.0])
def test_a_threshold_is_the_smallest_score_with_the_rate(share):
    pairs = np.sort(all_pairs(rows(100)))
    found = measure(rows(100))
    threshold = found.threshold(share)
    assert found.fpr(np.array([threshold]))[0] <= share
    below = float(np.nextafter(np.float32(threshold), np.float32(-2)))
    assert found.fpr(np.array([below]))[0] > share or threshold == -1
    allowed = int(share * (len(pairs) + 1) + 1e-9) - 1
    expected = -1.0 if allowed >= len(pairs) else float(np.nextafter(pairs[::-1][allowed], np.float32(2)))
    assert threshold == expected


@given(st.integers(0, 10_000_000))
def test_ranks_are_kept_exactly_at_the_top_and_closely_below(pairs):
    ranks = kept(pairs)
    assert ranks[: background.EXACT].tolist() == list(range(1, min(pairs, background.EXACT) + 1))
    assert len(ranks) == 0 if pairs == 0 else ranks[-1] == pairs
    gaps = np.diff(ranks)
    assert (gaps >= 1).all()
    assert (gaps <= 1 + ranks[:-1] / background.EXACT).all()


def test_a_large_background_is_exact_where_it_matters_and_never_too_low():
    X = rows(600, dim=4)
    pairs, found = np.sort(all_pairs(X))[::-1], measure(X)
    assert len(found.scores) < found.pairs == 179_700
    exact = (np.searchsorted(-pairs, -pairs, side="right") + 1) / (len(pairs) + 1)
    rates = found.fpr(pairs.astype(np.float64))
    assert (rates[: background.EXACT - 100] == exact[: background.EXACT - 100]).all()
    assert (rates >= exact).all()
    assert (rates <= exact * (1 + 2 / background.EXACT)).all()


def test_a_sample_is_of_distinct_rows_and_the_same_each_time():
    X = rows(500)
    one, other = measure(X, rows=100), measure(X, rows=100)
    assert one.pairs == 4950
    assert (one.scores == other.scores).all()
    # Had a row been drawn twice, its cosine with itself would be there.
    assert one.scores[0] <= all_pairs(X).max()
    assert set(one.scores.tolist()) <= set(all_pairs(X).tolist())
    assert (measure(X, rows=100, seed=1).scores != one.scores).any()
    assert one.spread == pytest.approx(measure(X).spread, rel=0.2)


def test_equal_cosines_count_alike_however_they_were_summed():
    X = np.repeat(rows(3, dim=64), 4, axis=0)
    found = measure(X)
    for a, b in combinations(range(12), 2):
        one, other = X[a].astype(np.float64), X[b].astype(np.float64)
        sums = [float(one @ other), float((one * other).sum()), float((one * other)[::-1].cumsum()[-1])]
        assert len(set(found.fpr(np.array(sums)))) == 1


@pytest.mark.parametrize("n", [0, 1])
def test_without_pairs_nothing_is_rare(n):
    found = measure(rows(2)[:n])
    assert (found.pairs, found.spread, found.fpr(np.array([1.0])).tolist()) == (0, 0.0, [1.0])
    assert found.threshold(1.0) == -1
    with pytest.raises(ValueError, match="0 random pairs"):
        found.threshold(0.5)


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_rate_is_a_share(share):
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        measure(rows(5)).threshold(share)


def test_a_rate_finer_than_the_pairs_is_refused():
    found = measure(rows(5))
    assert found.threshold(1 / 11) > found.scores[0]
    with pytest.raises(ValueError, match=r"10 random pairs resolve .* 0\.091"):
        found.threshold(0.09)


def test_a_rate_that_no_cosine_has_is_refused():
    alike = Background(np.ones(10, np.float32), np.arange(1, 11), 10, 0.0)
    with pytest.raises(ValueError, match="identical"):
        alike.threshold(0.5)
    assert alike.threshold(1.0) == -1
