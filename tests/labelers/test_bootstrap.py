"""Intervals of differences against the normal theory and against what must be."""

from __future__ import annotations

import numpy as np
import pytest

from labelers.bootstrap import paired_difference


def test_over_rows_the_interval_is_that_of_the_normal_theory():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 400), rng.normal(0, 1, 400)
    found = paired_difference(first, second, np.arange(400, dtype=np.int32) % 3)
    gaps = first - second
    half = 1.96 * gaps.std() / 20
    assert (found.over, found.units) == ("images", 400)
    assert found.mean == pytest.approx(gaps.mean())
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), abs=0.02)


def test_classes_that_err_together_make_it_wider():
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(20, dtype=np.int32), 50)
    effect = rng.normal(0, 1, 20)
    found = paired_difference(effect[codes], np.zeros(1000), codes)
    assert (found.over, found.units) == ("classes", 20)
    half = 1.96 * effect.std() / np.sqrt(20)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_certain_is_a_zero_outside():
    codes = np.zeros(50, np.int32)
    ones = np.ones(50)
    assert paired_difference(ones, 0 * ones, codes).certain
    assert paired_difference(0 * ones, ones, codes).certain
    same = paired_difference(ones, ones, codes)
    assert (same.mean, same.low, same.high, same.certain) == (0, 0, 0, False)


def test_a_seed_gives_the_same_again():
    values = np.random.default_rng(2).normal(size=(2, 60))
    codes = np.zeros(60, np.int32)
    assert paired_difference(*values, codes, seed=3) == paired_difference(*values, codes, seed=3)


def test_rows_must_be_the_same():
    with pytest.raises(ValueError, match="row by row"):
        paired_difference(np.ones(3), np.ones(2), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="row by row"):
        paired_difference(np.ones(0), np.ones(0), np.zeros(0, np.int32))
