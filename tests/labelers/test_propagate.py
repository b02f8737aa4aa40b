"""Label spreading against scikit-learn's, on the same graph."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.semi_supervised import LabelSpreading

from labelers import Exemplars, propagate


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def moons(n: int = 120, seed: int = 0, noise: float = 0.03):
    """Return rows on two interlocked arcs, lifted onto a sphere, and which arc."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    angle = rng.uniform(0, np.pi, n)
    x = np.where(codes == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(codes == 0, np.sin(angle), 0.5 - np.sin(angle))
    flat = np.column_stack([x, y]) + rng.normal(scale=noise, size=(n, 2))
    return unit(np.column_stack([flat, np.full(n, 2.0)])), codes.astype(np.int32)


def test_the_spread_is_that_of_scikit_learn():
    X, codes = moons()
    graph = propagate.neighbour_graph(X, 7)
    W = np.maximum(graph.toarray(), graph.toarray().T)
    y = np.full(len(X), -1)
    y[:6] = codes[:6]
    model = LabelSpreading(kernel=lambda A, B: W, alpha=0.8, max_iter=1000, tol=1e-12).fit(X, y)
    start = np.zeros((len(X), 2))
    start[np.arange(6), codes[:6]] = 1
    mass = propagate.spread(propagate.normalised(graph), start, alpha=0.8, iterations=1000, tolerance=1e-13)
    np.testing.assert_allclose(mass / mass.sum(axis=1, keepdims=True), model.label_distributions_, atol=1e-9)


def test_labels_without_a_rest_are_those_of_scikit_learn():
    X, codes = moons()
    seeds = np.array([0, 1, 2, 3, 4, 5])
    W = np.maximum(propagate.neighbour_graph(X).toarray(), propagate.neighbour_graph(X).toarray().T)
    y = np.full(len(X), -1)
    y[seeds] = codes[seeds]
    model = LabelSpreading(kernel=lambda A, B: W, alpha=0.9, max_iter=1000, tol=1e-12).fit(X, y)
    exemplars = Exemplars(("a", "b"), X[seeds], codes[seeds], np.ones(6, bool))
    found = propagate.label(X, exemplars, threshold=0.0, rest=0.0, iterations=1000, tolerance=1e-13)
    np.testing.assert_array_equal(found.codes, model.transduction_)
    # Both classes have as many seeds, so that a mass of 1 a class changes no share.
    np.testing.assert_allclose(found.scores, model.label_distributions_.max(axis=1), atol=1e-8)


def test_labels_follow_the_arcs_where_the_closest_exemplar_does_not():
    X, codes = moons(400)
    seeds = np.array([0, 1])
    exemplars = Exemplars(("a", "b"), X[seeds], codes[seeds], np.ones(2, bool))
    graph = propagate.neighbour_graph(X, 6)
    found = propagate.label(X, exemplars, threshold=0.0, graph=graph, alpha=0.99, iterations=1000, rest=0.0)
    closest = (X @ X[seeds].T).argmax(axis=1)
    assert np.mean(found.codes == codes) > 0.95 > np.mean(closest == codes)


def test_a_single_class_stays_with_its_own_because_of_the_rest():
    X, codes = moons(400, noise=0.15)
    exemplars = Exemplars(("a",), X[:1], codes[:1], np.ones(1, bool))
    graph = propagate.neighbour_graph(X, 12)
    everything = propagate.label(X, exemplars, threshold=0.5, graph=graph, rest=0.0).codes >= 0
    found = propagate.label(X, exemplars, threshold=0.5, graph=graph).codes >= 0
    assert np.mean(everything) > 0.95
    assert found.sum() > 50
    assert np.mean(codes[found] == 0) > 0.85


def test_a_row_that_nothing_reaches_has_no_class():
    X = unit(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32))
    graph = csr_array(([0.9, 0.9], ([0, 2], [1, 3])), shape=(4, 4))
    exemplars = Exemplars(("a",), X[:1], np.zeros(1, np.int32), np.ones(1, bool))
    found = propagate.label(X, exemplars, threshold=0.0, graph=graph, rest=0.0)
    assert found.codes.tolist() == [0, 0, -1, -1]
    assert found.best.tolist() == [0, 0, -1, -1]


def test_the_graph_is_the_nearest_rows_and_no_row_itself():
    X, _ = moons(40)
    cosines = X.astype(np.float64) @ X.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    graph = propagate.neighbour_graph(X, 3).toarray()
    for row in range(len(X)):
        nearest = np.argsort(-cosines[row])[:3]
        assert set(np.flatnonzero(graph[row])) == set(nearest)
        np.testing.assert_allclose(graph[row, nearest], cosines[row, nearest], atol=1e-12)


def test_the_normalised_graph_ignores_self_loops_and_negative_weights():
    graph = csr_array(np.array([[5, 1, 0], [0, 0, 4], [0, 0, -3]], np.float32))
    W = np.array([[0, 1, 0], [1, 0, 4], [0, 4, 0]])
    d = W.sum(axis=1)
    np.testing.assert_allclose(propagate.normalised(graph).toarray(), W / np.sqrt(np.outer(d, d)))
    assert graph.toarray()[0, 0] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"iterations": 0}, "iterations 0"),
        ({"rest": -1.0}, "rest is -1"),
        ({"graph": csr_array((3, 3))}, "graph is"),
    ],
)
def test_what_is_no_spread_is_refused(options, message):
    X, codes = moons(20)
    exemplars = Exemplars(("a", "b"), X[:2], codes[:2], np.ones(2, bool))
    with pytest.raises(ValueError, match=message):
        propagate.label(X, exemplars, threshold=0.5, **options)
