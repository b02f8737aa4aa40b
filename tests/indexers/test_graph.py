"""The kNN graph against all pairs in float64, by every method that makes one."""

from __future__ import annotations

import numpy as np
import pytest

from indexers import exact_neighbors, ivf_neighbors
from indexers.graph import KnnGraph, build, columns, method, neighbors, proposer, recall
from tests.indexers.vectors import some, unit


def clustered(n: int, dim: int, seed: int = 0):
    """Return unit rows around a hundred centres: rows without neighbours would mislead."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(100, dim))
    return unit(centres[rng.integers(0, 100, n)] + 0.6 * rng.normal(size=(n, dim)))


def truth(X, k: int):
    """Return (indices, scores) of the k nearest others, ties by position."""
    S = X.astype(np.float64) @ X.astype(np.float64).T
    # What differs only by the order of summation is a tie.
    S = np.round(S, 6)
    np.fill_diagonal(S, -np.inf)
    order = np.lexsort((np.broadcast_to(np.arange(len(X)), S.shape), -S), axis=1)[:, :k]
    return order, np.take_along_axis(S, order, 1)


def assert_sound(graph: KnnGraph, X, k: int) -> None:
    """Check what holds of every graph: k others for each row, each once, with their own cosine, best first."""
    n = len(X)
    assert graph.indices.shape == graph.scores.shape == (n, k)
    assert (graph.indices.dtype, graph.scores.dtype) == (np.int32, np.float32)
    assert not (graph.indices == np.arange(n)[:, None]).any()
    assert all(len(set(row)) == k for row in graph.indices.tolist())
    cosines = np.einsum("id,ikd->ik", X.astype(np.float64), X.astype(np.float64)[graph.indices])
    np.testing.assert_allclose(graph.scores, cosines, atol=1e-6)
    assert (np.diff(graph.scores, axis=1) <= 0).all()


class Lazy:
    """A matrix that has rows but no bytes of its own."""

    ndim, dtype = 2, np.dtype(np.float32)

    def __init__(self, X):
        self._X, self.shape = X, X.shape

    def __len__(self):
        return len(self._X)

    def __getitem__(self, rows):
        return np.array(self._X[rows])


@pytest.mark.parametrize("lazy", [False, True])
def test_exact_is_the_oracle(monkeypatch, lazy):
    X = clustered(300, 24)
    # Seven blocks of columns.
    monkeypatch.setattr(exact_neighbors, "BLOCK_BYTES", 24 * 4 * 47)
    graph = build(Lazy(X) if lazy else X, 9, kind="exact")
    assert_sound(graph, X, 9)
    _, scores = truth(X, 9)
    np.testing.assert_allclose(graph.scores, scores, atol=2e-6)
    assert recall(X, graph) == 1.0


def test_the_graph_is_a_sparse_matrix_over_the_same_memory():
    X = clustered(60, 8)
    graph = build(X, 5)
    matrix = graph.csr()
    assert matrix.shape == (60, 60)
    assert matrix.nnz == 300
    assert np.shares_memory(matrix.data, graph.scores)
    assert np.shares_memory(matrix.indices, graph.indices)
    dense = np.zeros((60, 60), np.float32)
    np.put_along_axis(dense, graph.indices.astype(int), graph.scores, 1)
    np.testing.assert_array_equal(matrix.toarray(), dense)


@pytest.mark.parametrize("kind", ["exact", "ivf"])
def test_a_row_is_left_out_wherever_it_stands_among_its_duplicates(kind):
    X = np.repeat(some(5, 16), 20, axis=0)
    graph = build(X, 7, kind=kind)
    assert_sound(graph, X, 7)
    assert (graph.indices // 20 == np.arange(100)[:, None] // 20).all()


@pytest.mark.parametrize("kind", ["exact", "ivf"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_k_is_cut_to_the_others(kind, n):
    X = some(n, 4)
    graph = build(X, 15, kind=kind)
    assert_sound(graph, X, n - 1)
    np.testing.assert_allclose(graph.scores, truth(X, n - 1)[1], atol=2e-6)


def test_no_rows_have_no_neighbours():
    graph = build(np.empty((0, 3), np.float32), 4, kind="exact")
    assert graph.indices.shape == (0, 0)
    assert recall(np.empty((0, 3), np.float32), graph) == 1.0


def test_ties_come_by_position():
    X = np.tile(some(1, 5), (4, 1))
    assert build(X, 3).indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_inverted_lists_find_most_and_say_how_many():
    X = clustered(4000, 32)
    graph = build(X, 10, kind="ivf")
    assert_sound(graph, X, 10)
    _, scores = truth(X, 10)
    share = float((graph.scores >= scores[:, -1:] - 1e-5).mean())
    assert share > 0.95
    assert abs(recall(X, graph, sample=1000) - share) < 0.01


@pytest.mark.parametrize(
    # 3,000 rows of 8 dimensions, 4 bits a code: of 2 dimensions 6,000 bytes, of 4 half as many.
    ("room", "width", "least"),
    [(6000, 2, 0.9), (5999, 4, 0.8), (3000, 4, 0.8), (2999, 8, 0.3), (0, 8, 0.3)],
)
def test_codes_of_inverted_lists_are_as_short_as_they_must_be(monkeypatch, room, width, least):
    X = clustered(3000, 8)
    monkeypatch.setattr(ivf_neighbors, "CODE_BYTES", room)
    source = proposer("ivf", X, 10)
    # 4·√3,000 = 219 lists are too many to be trained; 3,000 / 39 = 76.
    assert source.params == {"lists": 64, "probes": 32, "width": width}
    graph = neighbors(X, np.arange(3000), source, 10)
    assert_sound(graph, X, 10)
    assert recall(X, graph) > least


def test_descent_finds_most():
    X = clustered(3000, 16)
    graph = build(X, 10, kind="descent")
    assert_sound(graph, X, 10)
    assert recall(X, graph) > 0.95
    twins = np.repeat(some(40, 16), 30, axis=0)
    assert_sound(build(twins, 10, kind="descent"), twins, 10)


def test_rows_that_were_proposed_too_little_are_compared_with_all():
    class Nothing:
        params: dict = {}  # noqa: RUF012

        def propose(self, rows):
            found = np.full((len(rows), 2), -1)
            found[rows == 3] = [5, 3]
            return found

    X = some(20, 6)
    graph = neighbors(X, np.arange(20), Nothing(), 4)
    np.testing.assert_array_equal(graph.indices, build(X, 4, kind="exact").indices)


def test_recall_counts_what_is_missed_and_forgives_ties():
    X = clustered(200, 12)
    graph = build(X, 4, kind="exact")
    order, scores = truth(X, 5)
    # The fifth best in place of the fourth: one of four is missed.
    worse = KnnGraph(np.delete(order, 3, 1).astype(np.int32), np.delete(scores, 3, 1).astype(np.float32))
    assert recall(X, worse) == pytest.approx(0.75)
    twins = np.repeat(X[:20], 10, axis=0)
    other = np.array([[(i // 10) * 10 + (i + step) % 10 for step in (9, 8, 7, 6)] for i in range(200)], np.int32)
    assert recall(twins, KnnGraph(other, np.ones((200, 4), np.float32))) == 1.0
    assert recall(X, graph) == 1.0


def test_recall_tells_vectors_apart_that_are_packed_tightly():
    # All cosines lie within 1e-6 of 1; two halves of a graph that names the farthest are still wrong.
    X = some(1, 24) + 3e-4 * some(60, 24)
    X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
    # Lengths of float32 unit rows differ by as much as these cosines do.
    U = X.astype(np.float64)
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    S = U @ U.T
    np.fill_diagonal(S, np.inf)
    order = np.argsort(-S, axis=1)[:, 1:]
    assert recall(X, KnnGraph(order[:, -4:].astype(np.int32), np.ones((60, 4), np.float32))) == 0.0
    half = np.concatenate([order[:, :2], order[:, -2:]], axis=1).astype(np.int32)
    assert recall(X, KnnGraph(half, np.ones((60, 4), np.float32))) == 0.5


def test_the_method_goes_by_size():
    assert method(9_144, 1280) == "exact"
    assert method(100_000, 512) == "descent"
    assert method(1_000_000, 512) == "descent"
    assert method(2_000_000, 512) == "ivf"
    assert method(10_000_000, 32) == "ivf"


def test_what_is_no_question_is_refused():
    with pytest.raises(ValueError, match="k is 0"):
        columns(10, 0)
    X = some(10, 4)
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        build(X, 3, kind="exact")
