"""Spaces that agree: worked by hand, and kappa against scikit-learn's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from labelers import Labels
from labelers.agree import agree, cohen_kappa

CLASSES = ("a", "b")


def labels(codes, *, best=None, scores=None, runner_up=None, conflict=None) -> Labels:
    codes = np.array(codes, np.int32)
    n = len(codes)
    named = np.where(codes >= 0, codes, 0) if best is None else np.array(best)
    return Labels(
        CLASSES,
        codes,
        named.astype(np.int32),
        np.full(n, 0.5) if scores is None else np.array(scores, float),
        np.full(n, 0.1) if runner_up is None else np.array(runner_up, float),
        np.zeros(n, bool) if conflict is None else np.array(conflict),
    )


def test_only_what_all_say_is_a_label():
    one = labels([0, 0, 1, -1, 0], scores=[0.9, 0.8, 0.7, 0.3, 0.6], runner_up=[0.1, 0.2, 0.3, 0.2, 0.1])
    other = labels([0, 1, 1, -1, -1], scores=[0.8, 0.9, 0.75, 0.4, 0.2], runner_up=[0.3, 0.1, 0.1, 0.1, 0.1])
    found = agree([one, other])
    assert found.labels.codes.tolist() == [0, -1, 1, -1, -1]
    assert found.disagree.tolist() == [False, True, False, False, True]
    assert found.labels.conflict.tolist() == [False, True, False, False, False]
    # The lowest of the supporting scores; the highest that any space gives another class.
    assert found.labels.best.tolist() == [0, 0, 1, 0, 0]
    assert found.labels.scores.tolist() == [0.8, 0.8, 0.7, 0.3, 0.2]
    assert found.labels.runner_up.tolist() == [0.3, 0.9, 0.3, 0.2, 0.1]


def test_most_are_enough_if_asked():
    spaces = [labels([0, 0, 0, -1]), labels([0, 0, 1, -1]), labels([0, 1, -1, 1])]
    assert agree(spaces).labels.codes.tolist() == [0, -1, -1, -1]
    assert agree(spaces, at_least=2).labels.codes.tolist() == [0, 0, -1, -1]
    loose = agree(spaces, at_least=1)
    assert loose.labels.codes.tolist() == [0, 0, -1, 1]
    assert loose.labels.conflict.tolist() == [False, False, True, False]


def test_the_order_of_spaces_is_nothing():
    rng = np.random.default_rng(0)
    spaces = [
        labels(rng.integers(-1, 2, 50), scores=rng.random(50), runner_up=rng.random(50), conflict=rng.random(50) < 0.1)
        for _ in range(3)
    ]
    for needed in (1, 2, 3):
        first = agree(spaces, at_least=needed).labels
        for order in itertools.permutations(spaces):
            found = agree(order, at_least=needed).labels
            for field in ("codes", "best", "scores", "runner_up", "conflict"):
                np.testing.assert_array_equal(getattr(found, field), getattr(first, field))


def test_one_space_agrees_with_itself():
    one = labels([0, -1, 1], scores=[0.9, 0.1, 0.8], conflict=[False, True, False])
    found = agree([one])
    for field in ("codes", "best", "scores", "runner_up", "conflict"):
        np.testing.assert_array_equal(getattr(found.labels, field), getattr(one, field))
    assert found.kappa.tolist() == [[1.0]]


def test_what_every_space_rules_out_has_no_class():
    none = labels([-1], best=[-1], scores=[-np.inf], runner_up=[-np.inf])
    found = agree([none, none]).labels
    assert (found.codes[0], found.best[0], found.scores[0]) == (-1, -1, -np.inf)


def test_kappa_is_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(-1, 3, (2, 40))
        assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))
    assert np.isnan(cohen_kappa(np.zeros(3, np.int32), np.zeros(3, np.int32)))


def test_scores_of_rows_that_none_labels_are_correlated():
    rng = np.random.default_rng(0)
    scores = rng.random((2, 30))
    codes = np.where(np.arange(30) < 10, 0, -1)
    found = agree([labels(codes, scores=one) for one in scores])
    np.testing.assert_allclose(found.correlation, np.corrcoef(scores[:, 10:]), atol=1e-12)
    same = agree([labels(codes, scores=scores[0])] * 2)
    np.testing.assert_allclose(same.correlation, 1)


def test_nothing_to_correlate_is_nan():
    assert np.isnan(agree([labels([0, 1])] * 2).correlation).all()
    assert np.isnan(agree([labels([-1, -1])] * 2).correlation).all()


def test_no_rows():
    found = agree([labels([])] * 2)
    assert len(found.labels) == len(found.disagree) == 0
    assert np.isnan(found.kappa).all()


@pytest.mark.parametrize("spaces", [[], [labels([0]), labels([0, 1])]])
def test_spaces_that_do_not_fit_are_refused(spaces):
    with pytest.raises(ValueError, match="as many rows"):
        agree(spaces)


@pytest.mark.parametrize("needed", [0, 3])
def test_more_spaces_than_there_are_cannot_agree(needed):
    with pytest.raises(ValueError, match="at_least is"):
        agree([labels([0])] * 2, at_least=needed)
