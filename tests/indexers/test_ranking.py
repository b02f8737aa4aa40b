"""Rankings against figures worked out by hand, scikit-learn, and averages over all orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from indexers.ranking import average_precision, expected_average_precision, precision_at, recall_at

BY_HAND = np.array([[True, False, True, False], [False, False, False, True], [False] * 4])


def test_average_precision_by_hand():
    # Ranks 1 and 3: (1/1 + 2/3) / 2. Rank 4 alone: 1/4. Nothing to find: not defined.
    np.testing.assert_allclose(average_precision(BY_HAND), [5 / 6, 1 / 4, np.nan])


def test_precision_and_recall_by_hand():
    np.testing.assert_allclose(precision_at(BY_HAND, 3), [2 / 3, 0, 0])
    np.testing.assert_allclose(recall_at(BY_HAND, 1), [1 / 2, 0, np.nan])
    np.testing.assert_allclose(precision_at(BY_HAND, 99), [1 / 2, 1 / 4, 0])
    np.testing.assert_allclose(recall_at(BY_HAND, 99), [1, 1, np.nan])


def test_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    relevant = rng.random((20, 50)) < 0.3
    expected = [average_precision_score(one, -np.arange(50)) for one in relevant]
    np.testing.assert_allclose(average_precision(relevant), expected)


@pytest.mark.parametrize(("found", "rows"), [(1, 1), (1, 5), (2, 5), (5, 5)])
def test_chance_is_the_mean_over_all_orders(found, rows):
    orders = np.array(list(permutations([True] * found + [False] * (rows - found))))
    assert expected_average_precision(found, rows) == pytest.approx(average_precision(orders).mean())


def test_nothing_to_find_has_no_chance():
    np.testing.assert_allclose(expected_average_precision(np.array([0, 3]), 3), [np.nan, 1.0])


@pytest.mark.parametrize("ranking", [np.zeros(3, bool), np.zeros((2, 0), bool), np.zeros((2, 3), int)])
def test_what_is_no_ranking_is_refused(ranking):
    with pytest.raises(ValueError, match="ranking"):
        average_precision(ranking)
    with pytest.raises(ValueError, match="at least 1"):
        precision_at(BY_HAND, 0)
