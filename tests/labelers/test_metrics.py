"""Metrics against scikit-learn's, and intervals against published values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from labelers import metrics

CODES = st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=60)


def codes(values) -> np.ndarray:
    return np.array(values, np.int32)


@given(CODES)
@pytest.mark.filterwarnings("ignore")
def test_a_report_is_scikit_learns(pairs):
    truth, answer = codes([a for a, _ in pairs]), codes([b for _, b in pairs])
    found = metrics.report(truth, answer, classes=4)
    labels = [0, 1, 2, 3]
    options = {"labels": labels, "zero_division": np.nan}
    *rates, support = oracle.precision_recall_fscore_support(truth, answer, **options)
    # Of a class that the truth never names scikit-learn says 0 where something was labelled so.
    expected = np.where(support > 0, rates, np.nan)
    np.testing.assert_allclose((found.precision, found.recall, found.f1), expected)
    np.testing.assert_array_equal(found.support, support)
    means = (found.macro.precision, found.macro.recall, found.macro.f1)
    np.testing.assert_allclose(means, np.nanmean(expected, axis=1))
    micro = oracle.precision_recall_fscore_support(truth, answer, average="micro", **options)[:3]
    np.testing.assert_allclose((found.micro.precision, found.micro.recall, found.micro.f1), micro)
    np.testing.assert_array_equal(found.confusion, oracle.confusion_matrix(truth, answer, labels=[*labels, -1]))
    assert found.accuracy == pytest.approx(oracle.accuracy_score(truth, answer))
    assert found.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(truth, answer))


def test_a_class_without_members_or_without_labels_is_nan():
    found = metrics.report(codes([0, 0, -1, 2]), codes([0, -1, 1, -1]), classes=3)
    np.testing.assert_array_equal(found.support, [2, 0, 1])
    np.testing.assert_array_equal(found.labelled, [1, 1, 0])
    np.testing.assert_array_equal(found.precision, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.recall, [0.5, np.nan, 0])
    np.testing.assert_array_equal(found.f1, [2 / 3, np.nan, 0])
    np.testing.assert_array_equal(found.coverage, [0.25, 0.25, 0])
    assert (found.covered, found.macro.precision, found.macro.recall) == (0.5, 1, 0.25)
    assert np.isnan([found.precision_interval[1], found.recall_interval[1]]).all()


def test_the_pairs_that_are_confused_most():
    table = np.array([[9, 1, 0], [4, 9, 0], [2, 0, 0]])
    assert metrics.most_confused(table, 2) == [(1, 0, 4), (2, 0, 2)]
    assert metrics.most_confused(table, 9) == [(1, 0, 4), (2, 0, 2), (0, 1, 1)]
    assert metrics.most_confused(np.diag([3, 4]), 5) == []


def test_no_rows_are_nan():
    found = metrics.report(codes([]), codes([]), classes=2)
    assert np.isnan([found.accuracy, found.balanced_accuracy, found.covered, found.macro.f1, found.micro.f1]).all()
    assert found.confusion.tolist() == [[0] * 3] * 3


@pytest.mark.parametrize(
    ("truth", "answer", "message"),
    [([0, 1], [0], "shape"), ([0, 3], [0, 0], "codes"), ([0, 0], [0, -2], "codes")],
)
def test_what_is_no_answer_is_refused(truth, answer, message):
    with pytest.raises(ValueError, match=message):
        metrics.report(codes(truth), codes(answer), classes=3)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (1, 29), (15, 148), (50, 100), (299, 300)])
def test_the_interval_solves_the_score_equation(hits, n):
    # Its ends are where the observed share lies z standard errors of the true one away.
    share = hits / n
    for end in metrics.wilson(hits, n):
        variance = end * (1 - end) / n
        assert (share - end) ** 2 == pytest.approx(metrics.Z95**2 * variance, abs=1e-12)


def test_a_known_interval():
    # 81 of 263: table I of Newcombe, Statistics in Medicine 17 (1998), method 3.
    np.testing.assert_allclose(metrics.wilson(81, 263), [0.2553, 0.3662], atol=5e-5)
    assert np.isnan(metrics.wilson(0, 0)).all()
    assert metrics.wilson([0, 5], [5, 5]).shape == (2, 2)


SCORES = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)


@given(SCORES)
def test_the_roc_curve_is_scikit_learns(pairs):
    scores, positive = np.array([s / 7 for s, _ in pairs]), np.array([p for _, p in pairs])
    found = metrics.roc(scores, positive)
    if positive.all() or not positive.any():
        assert np.isnan(found.area)
        return
    fpr, tpr, thresholds = oracle.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.x, fpr)
    np.testing.assert_allclose(found.y, tpr)
    np.testing.assert_allclose(found.thresholds, thresholds)
    assert found.area == pytest.approx(oracle.roc_auc_score(positive, scores))


@given(SCORES)
def test_precision_and_coverage_are_counted_at_each_score(pairs):
    scores, correct = np.array([s / 7 for s, _ in pairs]), np.array([c for _, c in pairs])
    found = metrics.precision_coverage(scores, correct)
    assert found.thresholds.tolist() == sorted(set(scores.tolist()), reverse=True)
    for coverage, precision, threshold in zip(found.x, found.y, found.thresholds, strict=True):
        answered = scores >= threshold
        assert (coverage, precision) == pytest.approx((answered.mean(), correct[answered].mean()))


def test_curves_of_nothing_are_nan():
    nothing = np.empty(0), np.empty(0, bool)
    assert np.isnan([metrics.roc(*nothing).area, metrics.precision_coverage(*nothing).area]).all()


def test_rows_that_no_class_is_left_for_may_have_a_score_of_minus_infinity():
    found = metrics.roc(np.array([0.9, -np.inf, 0.5]), np.array([True, False, False]))
    assert found.area == 1


@pytest.mark.parametrize("scores", [[0.1, np.nan], [0.1]])
def test_what_is_no_curve_is_refused(scores):
    with pytest.raises(ValueError, match="one length"):
        metrics.roc(np.array(scores), np.array([True, False]))
