from __future__ import annotations

import warnings
from itertools import permutations
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sk

from labelers.chance import expected_information
from labelers.cluster_metrics import SAMPLE, alone, cluster_metrics, contingency

FIGURES = ("nmi", "ami", "ari", "ri", "homogeneity", "completeness", "purity", "accuracy")


def codes(*values: int):
    return np.array(values, np.int32)


def random_codes(n: int, classes: int, clusters: int, noise: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    found = np.where(rng.random(n) < 0.5, truth % clusters, rng.integers(0, clusters, n))
    found[rng.random(n) < noise] = -1
    return truth.astype(np.int32), found.astype(np.int32)


labelled = st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=25).map(
    lambda pairs: tuple(np.array(side, np.int32) for side in zip(*pairs, strict=True))
)


def test_six_rows_worked_out_by_hand():
    # Classes of 3 and 3, clusters of 4 and 2; the first cluster holds 3 + 1, the second 0 + 2.
    found = cluster_metrics(codes(0, 0, 0, 1, 1, 1), codes(5, 5, 5, 5, 2, 2))
    shared = 3 / 6 * log(6 * 3 / (3 * 4)) + 1 / 6 * log(6 * 1 / (3 * 4)) + 2 / 6 * log(6 * 2 / (3 * 2))
    entropy = log(2), 4 / 6 * log(6 / 4) + 2 / 6 * log(3)
    assert found.homogeneity == pytest.approx(shared / entropy[0])
    assert found.completeness == pytest.approx(shared / entropy[1])
    assert found.nmi == pytest.approx(2 * shared / sum(entropy))
    assert found.purity == found.accuracy == pytest.approx(5 / 6)
    # Of 15 pairs 3 + 1 share both, 6 the class, 7 the cluster: 15 − 6 − 7 + 2·4 agree.
    assert found.ri == pytest.approx(10 / 15)
    assert found.ari == pytest.approx((4 - 6 * 7 / 15) / ((6 + 7) / 2 - 6 * 7 / 15))
    assert found.chance["ri"] == pytest.approx((15 - 6 - 7 + 2 * 6 * 7 / 15) / 15)
    assert (found.rows, found.classes, found.clusters, found.noise) == (6, 2, 2, 0)
    assert found.silhouette is None


def test_each_noise_point_is_a_cluster_of_its_own():
    truth = codes(0, 0, 0, 1, 1, 1)
    found = cluster_metrics(truth, codes(0, 0, -1, 1, 1, -1))
    same = cluster_metrics(truth, codes(0, 0, 2, 1, 1, 3))
    assert [getattr(found, name) for name in FIGURES] == [getattr(same, name) for name in FIGURES]
    assert found.noise == pytest.approx(2 / 6)
    assert (found.clusters, same.clusters) == (2, 4)
    # One class for all noise would have had purity 4/6; calling everything noise gains neither ARI nor AMI.
    nothing = cluster_metrics(truth, codes(-1, -1, -1, -1, -1, -1))
    assert (nothing.purity, nothing.ari, nothing.ami) == pytest.approx((1, 0, 0), abs=1e-12)
    assert nothing.accuracy == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("n", "classes", "clusters", "noise"),
    [(50, 3, 4, 0.1), (500, 10, 7, 0.0), (300, 250, 280, 0.1), (2000, 20, 30, 0.3), (7, 1, 3, 0), (7, 3, 1, 0)],
)
def test_every_figure_is_scikit_learns(n, classes, clusters, noise):
    truth, found = random_codes(n, classes, clusters, noise)
    own = alone(found)
    table = sk.cluster.contingency_matrix(truth, own)
    with warnings.catch_warnings():
        # It takes many clusters for numbers to regress on.
        warnings.simplefilter("ignore", UserWarning)
        expected = {
            "nmi": sk.normalized_mutual_info_score(truth, own),
            "ami": sk.adjusted_mutual_info_score(truth, own),
            "ari": sk.adjusted_rand_score(truth, own),
            "ri": sk.rand_score(truth, own),
            "homogeneity": sk.homogeneity_score(truth, own),
            "completeness": sk.completeness_score(truth, own),
            "purity": table.max(axis=0).sum() / n,
            "accuracy": table[linear_sum_assignment(-table)].sum() / n,
        }
    result = cluster_metrics(truth, found)
    assert {name: getattr(result, name) for name in FIGURES} == pytest.approx(expected, abs=1e-10)


def test_chance_is_the_mean_over_every_way_of_dealing_rows_out():
    truth, found = codes(0, 0, 0, 1, 1, 2), codes(0, 0, 1, 1, 1, -1)
    every = [cluster_metrics(codes(*dealt), found) for dealt in set(permutations(truth.tolist()))]
    chance = cluster_metrics(truth, found).chance
    for name in ("nmi", "ami", "ari", "ri", "homogeneity", "completeness"):
        assert np.mean([getattr(one, name) for one in every]) == pytest.approx(chance[name], abs=1e-9), name
    for name in ("purity", "accuracy"):
        values = [getattr(one, name) for one in every]
        # The mean of ten draws: within four of its standard errors.
        assert abs(np.mean(values) - chance[name]) < 4 * np.std(values) / np.sqrt(10), name


@pytest.mark.parametrize(("a", "b"), [([3, 3], [4, 2]), ([1] * 9, [4, 5]), ([40, 2, 1, 1], [22, 22])])
def test_expected_information_is_scikit_learns(a, b):
    from sklearn.metrics.cluster._expected_mutual_info_fast import expected_mutual_information

    truth, found = np.repeat(np.arange(len(a)), a), np.repeat(np.arange(len(b)), b)
    table = sk.cluster.contingency_matrix(truth, found, sparse=True).astype(np.int64)
    expected = expected_mutual_information(table, sum(a))
    assert expected_information(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-12)


def test_expected_information_of_large_groups_is_cut_where_nothing_is_lost():
    # Of 40,000 rows in two halves: close to (R − 1)(C − 1) / 2n.
    halves = np.array([20_000, 20_000])
    assert expected_information(halves, halves) == pytest.approx(1 / 80_000, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(labelled)
def test_names_and_order_of_rows_do_not_matter(pair):
    truth, found = pair
    names = np.array([7, 3, 9, 0, 4, -1], np.int32)
    order = np.random.default_rng(1).permutation(len(truth))
    # Index −1 is the last of the names.
    other = cluster_metrics(names[truth][order], names[found][order])
    one = cluster_metrics(truth, found)
    for name in FIGURES:
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9), name
    for name in ("nmi", "ri", "homogeneity", "completeness"):
        assert one.chance[name] == pytest.approx(other.chance[name], abs=1e-9), name


@settings(max_examples=25, deadline=None)
@given(labelled)
def test_who_is_called_truth_matters_to_homogeneity_completeness_and_purity_alone(pair):
    one, other = cluster_metrics(*pair), cluster_metrics(*reversed(pair))
    for name in ("nmi", "ami", "ari", "ri", "accuracy"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9), name
    assert one.homogeneity == pytest.approx(other.completeness, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(labelled)
def test_every_figure_lies_in_its_bounds_and_the_truth_itself_reaches_one(pair):
    truth, found = pair
    one, best = cluster_metrics(truth, found), cluster_metrics(truth, truth)
    for name in FIGURES:
        low = -1 if name in ("ami", "ari") else 0
        assert low - 1e-9 <= getattr(one, name) <= 1 + 1e-9, name
        assert getattr(best, name) == 1, name


def test_the_silhouette_is_scikit_learns_with_noise_as_clusters_and_sampled_above_a_number():
    rng = np.random.default_rng(0)
    truth, found = random_codes(300, 4, 4, 0.1)
    X = rng.normal(size=(4, 8))[truth] + 0.3 * rng.normal(size=(300, 8))
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    result = cluster_metrics(truth, found, X=X)
    expected = sk.silhouette_score(X.astype(np.float64), alone(found), metric="cosine")
    assert result.silhouette == pytest.approx(expected, abs=1e-6)
    assert result.silhouette_rows == 300
    many = np.tile(X, (100, 1))
    sampled = cluster_metrics(np.tile(truth, 100), np.tile(alone(found), 100), X=many)
    assert sampled.silhouette_rows == SAMPLE
    assert sampled == cluster_metrics(np.tile(truth, 100), np.tile(alone(found), 100), X=many)


def test_a_table_holds_what_pairs_of_codes_share():
    table = contingency(codes(0, 0, 1, 1), codes(0, 1, 1, 1))
    assert table.toarray().tolist() == [[1, 1], [0, 2]]


@pytest.mark.parametrize(
    ("truth", "found", "said"),
    [
        (codes(), codes(), "there must be as many, and some"),
        (codes(0, 1), codes(0), "there must be as many"),
        (codes(0, 1), codes(0, -2), "from -2 on"),
        (np.array([0.0, 1.0]), codes(0, 1), "float64"),
    ],
)
def test_what_is_no_code_is_refused(truth, found, said):
    with pytest.raises(ValueError, match=said):
        cluster_metrics(truth, found)


def test_vectors_must_be_as_many_and_finite():
    with pytest.raises(ValueError, match="3 vectors, 2 codes"):
        cluster_metrics(codes(0, 1), codes(0, 1), X=np.ones((3, 2), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        cluster_metrics(codes(0, 1), codes(0, 1), X=np.full((2, 2), np.nan, np.float32))
