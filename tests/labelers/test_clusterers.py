"""What holds for every clusterer, and what is special about each."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans as Oracle
from sklearn.metrics import adjusted_rand_score

from indexers.graph import build
from labelers.affinity import shared_neighbours
from labelers.choose_k import by_silhouette, ladder
from labelers.clusters import CLUSTERERS, Clusters, clusterer, require, typical
from labelers.kmeans import KMeans
from labelers.silhouette import silhouette

METHODS = list(CLUSTERERS)
GIVEN_K = [method for method in METHODS if method not in ("leiden", "hdbscan")]
FIND_K = ["leiden", "hdbscan"]
SIZES = (50, 40, 30, 20)


def blobs(sizes=SIZES, dim=8, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    centres = np.linalg.qr(rng.normal(size=(dim, dim)))[0][: len(sizes)]
    X = centres[truth] + noise * rng.normal(size=(len(truth), dim))
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32), truth


def found(method, X, k=None, seed=0, neighbors=10, **own):
    made = clusterer(method, k, seed=seed, **own)
    graph = build(X, neighbors, kind="exact") if made.uses_graph and np.isfinite(X).all() and len(X) else None
    return made.cluster(X, graph)


def asked(method, k):
    return None if method in FIND_K else k


@pytest.mark.parametrize("method", METHODS)
class TestEvery:
    def test_blobs_that_lie_apart_are_found(self, method):
        X, truth = blobs()
        result = found(method, X, asked(method, 4))
        assert adjusted_rand_score(truth, result.codes) == 1
        assert result.codes.dtype == np.int32
        # The largest first.
        assert result.sizes.tolist() == list(SIZES)
        assert (result.k, result.noise) == (4, 0)

    def test_the_same_seed_gives_the_same(self, method):
        X, _ = blobs(noise=0.4)
        one, again = (found(method, X, asked(method, 5), seed=3) for _ in range(2))
        np.testing.assert_array_equal(one.codes, again.codes)
        assert one.params == again.params

    def test_duplicates_are_no_trouble(self, method):
        X, truth = blobs(sizes=(6, 5, 4))
        many = np.repeat(X, 12, axis=0)
        result = found(method, many, asked(method, 3))
        assert len(result.codes) == len(many)
        if method in ("kmeans", "spherical"):
            assert adjusted_rand_score(np.repeat(truth, 12), result.codes) == 1

    def test_rows_that_are_all_alike_are_refused(self, method):
        X = np.tile(np.array([[0.6, 0.8, 0]], np.float32), (30, 1))
        with pytest.raises(ValueError, match="only 1 that differ"):
            found(method, X, asked(method, 2))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_a_vector_that_is_not_finite_is_refused(self, method, value):
        X, _ = blobs()
        X[3, 1] = value
        with pytest.raises(ValueError, match="not finite"):
            found(method, X, asked(method, 2))

    def test_memory_grows_with_the_rows_and_is_no_less_than_what_it_returns(self, method):
        made = clusterer(method, asked(method, 10))
        sizes = [made.memory(n, 512, 15) for n in (1000, 10_000, 100_000)]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] > 100_000 * 4


@pytest.mark.parametrize("method", GIVEN_K)
class TestWithANumber:
    def test_one_cluster_is_all_rows(self, method):
        X, _ = blobs()
        assert not found(method, X, 1).codes.any()

    def test_as_many_as_rows_is_a_cluster_each(self, method):
        X, _ = blobs(sizes=(5, 4, 3), noise=0.2)
        result = found(method, X, len(X), neighbors=4)
        # Eigenvectors tell rows apart as they like; the others have no choice.
        assert result.k == len(X) or method == "spectral"

    @pytest.mark.parametrize(
        ("k", "said"), [(0, "at least 1"), (-3, "at least 1"), (141, "1 to 140"), (10**30, "1 to")]
    )
    def test_a_number_that_cannot_be_is_refused(self, method, k, said):
        X, _ = blobs()
        with pytest.raises(ValueError, match=said):
            found(method, X, k)

    def test_more_than_differ_is_refused(self, method):
        X, _ = blobs(sizes=(3, 2))
        with pytest.raises(ValueError, match="only 5 that differ"):
            found(method, np.repeat(X, 10, axis=0), 6)

    def test_the_number_is_found_where_it_is_plain(self, method):
        X, truth = blobs()
        result = found(method, X)
        assert result.k == 4
        assert adjusted_rand_score(truth, result.codes) == 1


@pytest.mark.parametrize("method", FIND_K)
def test_who_finds_the_number_takes_none(method):
    with pytest.raises(ValueError, match="finds the number of clusters itself"):
        clusterer(method, 3)


@pytest.mark.parametrize("method", [method for method in METHODS if clusterer(method, None).uses_graph])
def test_a_graph_method_needs_the_graph_of_the_rows(method):
    X, _ = blobs()
    for graph in (None, build(X[:50], 5, kind="exact")):
        with pytest.raises(ValueError, match="needs the graph of the rows"):
            clusterer(method, None).cluster(X, graph)


def test_clusters_are_numbered_by_size_and_then_by_their_first_row():
    clusters = Clusters.of(np.array([7, 3, 3, -2, 7, 5, -1]), resolution=2)
    assert clusters.codes.tolist() == [0, 1, 1, -1, 0, 2, -1]
    assert clusters.sizes.tolist() == [2, 2, 1]
    assert (clusters.k, clusters.noise, clusters.params) == (3, 2, {"resolution": 2})
    nothing = Clusters.of(np.array([-1, -1]))
    assert (nothing.k, nothing.sizes.tolist(), nothing.noise) == (0, [], 2)


def test_a_medoid_is_the_row_with_the_highest_mean_cosine_to_its_cluster():
    X, truth = blobs(noise=0.4)
    codes = np.where(np.arange(len(X)) % 7 == 0, -1, truth).astype(np.int32)
    scores, medoids = typical(X, codes)
    cosines = X.astype(np.float64) @ X.T.astype(np.float64)
    for code, medoid in enumerate(medoids):
        rows = np.flatnonzero(codes == code)
        assert medoid == rows[cosines[np.ix_(rows, rows)].mean(axis=1).argmax()]
        mean = X[rows].astype(np.float64).sum(axis=0)
        np.testing.assert_allclose(scores[rows], X[rows] @ (mean / np.linalg.norm(mean)), atol=1e-6)
    assert np.isnan(scores[codes < 0]).all()


@pytest.mark.parametrize(
    ("rows", "k", "said"), [(3, 4, "1 to 3"), (0, 1, "1 to 0"), (1, None, "nothing to tell apart")]
)
def test_too_few_rows_are_refused(rows, k, said):
    with pytest.raises(ValueError, match=said):
        require(np.ones((rows, 2), np.float32), k)


def test_k_means_is_as_good_as_scikit_learns():
    X, _ = blobs(sizes=(300, 300, 200, 100, 100), noise=0.5)
    result = KMeans(12, seed=0).cluster(X)
    oracle = Oracle(12, n_init=1, random_state=0).fit(X)
    assert result.params["inertia"] <= 1.03 * oracle.inertia_
    # What is reported is what the codes have: no row is closer to another centre.
    means = np.stack([X[result.codes == code].mean(axis=0) for code in range(12)])
    apart = ((X[:, None, :].astype(np.float64) - means[None]) ** 2).sum(axis=2)
    assert result.params["inertia"] == pytest.approx(apart[np.arange(len(X)), result.codes].sum(), rel=1e-4)
    assert (apart.argmin(axis=1) == result.codes).mean() > 0.99


def test_k_means_by_samples_is_as_good_as_on_all_rows(monkeypatch):
    X, _ = blobs(sizes=(900, 700, 500, 300, 100), noise=0.5)
    whole = KMeans(8, seed=0).cluster(X)
    monkeypatch.setattr("labelers.kmeans.SAMPLES", ((16, 10), (64, 5)))
    sampled = KMeans(8, seed=0).cluster(X)
    assert sampled.params["inertia"] <= 1.01 * whole.params["inertia"]


def test_spherical_k_means_goes_by_the_cosine():
    X, _ = blobs(noise=0.5)
    codes = found("spherical", X, 6).codes
    scores, _ = typical(X, codes)
    means = np.stack([X[codes == code].sum(axis=0) for code in range(6)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert (X @ means.T).max(axis=1) == pytest.approx(scores, abs=1e-4)


def test_shared_neighbours_are_counted_by_hand():
    # On a line of angles 0, 10, 20, 50, 60 degrees each row's two nearest:
    angles = np.deg2rad([0, 10, 20, 50, 60])
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    weights = shared_neighbours(build(X, 2, kind="exact")).toarray()
    # With themselves: {0,1,2}, {0,1,2}, {0,1,2}, {2,3,4}, {2,3,4}.
    expected = np.zeros((5, 5))
    for a, b, weight in ((0, 1, 1), (0, 2, 1), (1, 2, 1), (3, 4, 1), (2, 3, 1 / 5), (2, 4, 1 / 5)):
        expected[a, b] = expected[b, a] = weight
    np.testing.assert_allclose(weights, expected)


def test_a_higher_resolution_gives_more_communities():
    X, _ = blobs(sizes=(200, 200, 200), noise=0.3)
    few, many = (found("leiden", X, resolution=resolution).k for resolution in (0.1, 5))
    assert few < many


def test_rows_that_lie_alone_are_noise():
    rng, axes = np.random.default_rng(0), np.eye(6)
    truth = np.repeat([0, 1], (60, 50))
    X = np.concatenate([axes[truth] + 0.03 * rng.normal(size=(110, 6)), axes[2:]]).astype(np.float32)
    result = found("hdbscan", X / np.linalg.norm(X, axis=1, keepdims=True))
    assert result.codes[-4:].tolist() == [-1] * 4
    assert adjusted_rand_score(truth, result.codes[:-4]) == 1


def test_hdbscan_says_the_same_by_a_tree_and_by_all_distances(monkeypatch):
    X, _ = blobs(noise=0.1)
    tree = found("hdbscan", X)
    monkeypatch.setattr("labelers.hdbscan.FEW_AXES", 2)
    np.testing.assert_array_equal(found("hdbscan", X).codes, tree.codes)


@pytest.mark.parametrize(
    ("method", "own", "said"),
    [("leiden", {"resolution": 0.0}, "above 0"), ("leiden", {"resolution": np.nan}, "above 0"),
     ("hdbscan", {"min_size": 1}, "at least 2")],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(method, own, said):
    with pytest.raises(ValueError, match=said):
        clusterer(method, None, **own)


def test_a_panic_of_the_library_is_an_error_like_others(monkeypatch):
    class PanicException(BaseException):
        pass

    def panics(*_: object, **__: object) -> None:
        raise PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr("graspologic_native.leiden_csr", panics)
    X = np.eye(4, dtype=np.float32)
    with pytest.raises(ValueError, match=r"leiden gives up at resolution 2\.0: called `Option"):
        clusterer("leiden", None, resolution=2.0).cluster(X, build(X, 2))


def test_where_all_is_noise_nothing_is_typical():
    scores, medoids = typical(np.eye(4, dtype=np.float32), np.full(4, -1, np.int32))
    assert (np.isnan(scores).all(), medoids.tolist()) == (True, [])


def test_the_ladder_goes_up_by_the_root_of_two():
    assert ladder(1000) == [2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362]
    assert ladder(10**6)[-1] == 512
    assert (ladder(4), ladder(3), ladder(2)) == ([2], [2], [2])


def test_the_number_with_the_best_silhouette_is_chosen():
    X, _ = blobs(noise=0.2)
    cuts = {k: found("kmeans", X, k).codes for k in ladder(len(X))}
    widths = {k: silhouette(X, codes, rng=np.random.default_rng(0), sample=10_000) for k, codes in cuts.items()}
    assert by_silhouette(X, lambda rows, k: cuts[k], seed=0) == max(widths, key=widths.get)


def test_many_rows_get_the_clusters_that_few_get(monkeypatch):
    X, truth = blobs(sizes=(400, 350, 300, 250), noise=0.3)
    few = found("spectral", X, 4)
    monkeypatch.setattr("labelers.spectral.LARGE", 1000)
    many = found("spectral", X, 4)
    assert adjusted_rand_score(truth, few.codes) > 0.9
    assert adjusted_rand_score(few.codes, many.codes) > 0.99
    assert many.params["eigenvalue"] == pytest.approx(few.params["eigenvalue"], abs=1e-3)
