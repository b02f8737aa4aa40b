"""Complete-link groups against SciPy's agglomeration, and what they promise by themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from indexers.groups import complete_link


def pairs_above(S, threshold: float):
    i, j = np.triu_indices(len(S), 1)
    keep = S[i, j] >= threshold
    return np.stack([i[keep], j[keep]], axis=1), S[i, j][keep]


def similarities(n: int, seed: int):
    """Return a symmetric matrix of scores that are all different."""
    S = np.eye(n)
    i, j = np.triu_indices(n, 1)
    S[i, j] = S[j, i] = np.random.default_rng(seed).permutation(len(i)) / max(1, len(i))
    return S


@given(n=st.integers(2, 24), seed=st.integers(0, 2**32 - 1), threshold=st.floats(0, 1))
def test_groups_are_those_of_scipy(n, seed, threshold):
    S = similarities(n, seed)
    labels = fcluster(linkage(squareform(1 - S, checks=False), "complete"), 1 - threshold, "distance")
    # SciPy's cut compares 1 − score, which may differ in the last bit.
    if np.isclose(S, threshold, atol=1e-12).any():
        return
    expected = {frozenset(np.flatnonzero(labels == label).tolist()) for label in labels}
    found = complete_link(*pairs_above(S, threshold))
    assert {frozenset(group.tolist()) for group in found} == {group for group in expected if len(group) > 1}


@given(n=st.integers(1, 30), seed=st.integers(0, 2**32 - 1), threshold=st.sampled_from([0.2, 0.5, 0.8]))
def test_every_pair_of_a_group_meets_the_threshold(n, seed, threshold):
    X = np.random.default_rng(seed).integers(-1, 2, (n, 3)) + 0.1
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    S = np.round(X @ X.T, 12)
    groups = complete_link(*pairs_above(S, threshold))
    for group in groups:
        assert len(group) > 1
        assert (S[np.ix_(group, group)] >= threshold).all()
    # Nothing more can be joined: any two groups have a pair that misses the threshold.
    alone = [np.array([i]) for i in set(range(n)) - set(np.concatenate([[-1], *groups]).tolist())]
    every = [*groups, *alone]
    for a in range(len(every)):
        for b in range(a):
            assert (S[np.ix_(every[a], every[b])] < threshold).any()


def test_ties_go_by_position():
    # A chain 0 – 1 – 2 of equal scores: the first pair takes 1.
    found = complete_link(np.array([[2, 1], [1, 0]]), np.array([0.9, 0.9]))
    assert [group.tolist() for group in found] == [[0, 1]]


def test_the_closest_pair_comes_first():
    found = complete_link(np.array([[0, 1], [1, 2]]), np.array([0.9, 0.95]))
    assert [group.tolist() for group in found] == [[1, 2]]


def test_larger_groups_come_first():
    pairs = np.array([[0, 1], [5, 6], [5, 7], [6, 7]])
    found = complete_link(pairs, np.array([1.0, 0.9, 0.9, 0.9]))
    assert [group.tolist() for group in found] == [[5, 6, 7], [0, 1]]


def test_no_pairs_are_no_groups():
    assert complete_link(np.empty((0, 2), np.int64), np.empty(0)) == []


@pytest.mark.parametrize(
    ("pairs", "scores", "message"),
    [
        ([[1, 1]], [1.0], "itself"),
        ([[1, 2], [2, 1]], [1.0, 1.0], "twice"),
        ([[1, 2]], [1.0, 1.0], "shape"),
    ],
)
def test_what_is_no_pair_is_refused(pairs, scores, message):
    with pytest.raises(ValueError, match=message):
        complete_link(np.array(pairs), np.array(scores))
