"""Recall, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from indexers import Neighbors
from indexers.metrics import recall


def answer(*scores: float) -> Neighbors:
    return Neighbors(np.arange(len(scores)), np.array(scores))


TRUTH = [answer(0.9, 0.8, 0.7, 0.6)]


@pytest.mark.parametrize(
    ("found", "k", "expected"),
    [
        (answer(0.9, 0.8, 0.7), 3, 1.0),
        (answer(0.9, 0.7, 0.6), 3, 2 / 3),
        (answer(0.9, 0.7, 0.6), 1, 1.0),
        (answer(0.8, 0.7, 0.6), 1, 0.0),
        (answer(), 2, 0.0),
        # There are four rows, not ten.
        (answer(0.9, 0.8, 0.6), 10, 3 / 4),
        # What stands behind the k-th does not count.
        (answer(0.5, 0.9), 1, 0.0),
    ],
)
def test_recall_is_the_share_of_the_true_k_best(found, k, expected):
    assert recall([found], TRUTH, k) == pytest.approx(expected)


def test_any_row_of_a_tie_counts():
    truth = [Neighbors(np.array([1, 2, 3]), np.array([0.9, 0.5, 0.5]))]
    assert recall([Neighbors(np.array([1, 3]), np.array([0.9, 0.5 - 1e-12]))], truth, 2) == 1.0


def test_queries_weigh_as_much_as_they_have_to_find():
    truth = [answer(0.9, 0.8, 0.7, 0.6), answer(0.9), answer()]
    assert recall([answer(0.9), answer(0.9), answer()], truth, 4) == 2 / 5


def test_nothing_to_find_is_not_a_number():
    assert math.isnan(recall([answer()], [answer()], 3))
    assert math.isnan(recall([], [], 3))


def test_answers_to_other_questions_are_refused():
    with pytest.raises(ValueError, match="1 answers beside 0"):
        recall([answer(0.9)], [], 1)
    with pytest.raises(ValueError, match="k is 0"):
        recall(TRUTH, TRUTH, 0)
