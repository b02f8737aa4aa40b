"""What every index answers, against a float64 oracle; members of `INDEXES` join by being listed there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexers import INDEXES, Index, index_class
from tests.indexers.vectors import Lazy, assert_same, oracle, some

EMPTY = np.empty((0, 3), np.float32)


@pytest.fixture(params=sorted(INDEXES))
def make(request) -> Callable[..., Index]:
    """Return a function that makes an index and adds the rows given."""

    def made(*parts):
        index = index_class(request.param)()
        for part in parts:
            index.add(part)
        return index

    return made


@pytest.fixture
def make_with_range(make):
    if not hasattr(make(EMPTY), "range_search"):
        pytest.skip("this index has no range search")
    return make


def test_no_rows(make):
    found = make(EMPTY).search(some(2, 3), 5)
    assert [len(one) for one in found] == [0, 0]


def test_nothing_added(make):
    assert [len(one) for one in make().search(some(2, 3), 5)] == [0, 0]


def test_no_queries(make):
    assert make(some(4, 3)).search(EMPTY, 5) == []


def test_one_row_and_k_beyond_n(make):
    X = some(1, 3)
    assert_same(make(X).search(X, 10)[0], oracle(X, X[0]))


def test_ties_and_duplicates_come_in_the_order_they_were_added(make):
    X = some(6, 4)[[0, 1, 0, 2, 0, 1]]
    found = make(X).search(X[:1], 6)[0]
    assert found.positions[:3].tolist() == [0, 2, 4]
    assert_same(found, oracle(X, X[0]))


def test_a_tie_across_k_is_cut_in_that_order(make):
    X = np.tile(some(1, 5), (50, 1))
    assert make(X).search(X[:1], 7)[0].positions.tolist() == list(range(7))


def test_parts_are_one_index(make):
    X, Q = some(40, 8), some(3, 8, seed=1)
    for found, q in zip(make(X[:1], X[1:30], X[30:]).search(Q, 9), Q, strict=True):
        assert_same(found, oracle(X, q, 9))


@pytest.mark.parametrize(
    "keep", [np.zeros(30, bool), np.ones(30, bool), np.arange(30) % 3 == 0, np.arange(30) == 29], ids=str
)
def test_a_mask_is_applied_before_the_search(make, keep):
    X, Q = some(30, 8), some(2, 8, seed=1)
    for found, q in zip(make(X).search(Q, 5, keep=keep), Q, strict=True):
        assert_same(found, oracle(X, q, 5, keep=keep))


def test_a_score_exactly_on_the_threshold_is_kept(make_with_range):
    # 0.6² and 0.8² are exact in no binary format, so the threshold is what the arithmetic gives.
    X = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    a, b = float(X[1, 0]), float(X[1, 1])
    on = float(a / np.sqrt(a * a + b * b))
    found = make_with_range(X).range_search(X[:1], on)[0]
    assert_same(found, [(0, 1.0), (1, on)])
    above = make_with_range(X).range_search(X[:1], np.nextafter(on, 1))[0]
    assert above.positions.tolist() == [0]


def test_a_row_reaches_the_threshold_1_whatever_float32_made_of_its_length(make_with_range):
    X = some(300, 48)
    found = make_with_range(X).range_search(X, 1.0)
    assert [one.positions.tolist() for one in found] == [[row] for row in range(300)]
    assert all(one.scores.tolist() == [1.0] for one in found)


def test_every_threshold_at_a_score_keeps_that_row(make_with_range):
    X, Q = some(200, 64), some(1, 64, seed=1)
    index = make_with_range(X)
    ranked = index.search(Q, 200)[0]
    for place, score in enumerate(ranked.scores):
        assert index.range_search(Q, float(score))[0].positions.tolist() == ranked.positions[: place + 1].tolist()


def test_a_range_is_complete_and_masked(make_with_range):
    X, Q = some(300, 6), some(2, 6, seed=1)
    keep = np.arange(300) % 2 == 0
    for found, q in zip(make_with_range(X).range_search(Q, 0.2, keep=keep), Q, strict=True):
        assert_same(found, oracle(X, q, threshold=0.2, keep=keep))
    assert [len(one) for one in make_with_range(EMPTY).range_search(some(2, 3), -1)] == [0, 0]


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda X: X.astype(np.float64), lambda X: np.repeat(X, 2, 1)[:, ::2]]
)
def test_other_layouts_and_float64_give_the_same(make, form):
    X, Q = some(50, 16), some(2, 16, seed=1)
    for found, q in zip(make(form(X)).search(form(Q), 50), Q, strict=True):
        assert_same(found, oracle(X, q))


def test_rows_may_be_mapped_and_are_not_written(make, tmp_path):
    X, Q = some(50, 16), some(2, 16, seed=1)
    X.tofile(tmp_path / "X.f32")
    mapped = np.memmap(tmp_path / "X.f32", np.float32, "r", shape=X.shape)
    for found, q in zip(make(mapped).search(Q, 5, keep=np.arange(50) < 25), Q, strict=True):
        assert_same(found, oracle(X, q, 5, keep=np.arange(50) < 25))
    np.testing.assert_array_equal(mapped, X)


def test_an_answer_does_not_depend_on_the_queries_beside_it(make):
    X, Q = some(500, 32), some(20, 32, seed=1)
    index = make(X)
    for together, q in zip(index.search(Q, 7), Q, strict=True):
        alone = index.search(q[None], 7)[0]
        assert together.positions.tolist() == alone.positions.tolist()
        assert together.scores.tolist() == alone.scores.tolist()


@pytest.mark.parametrize(
    ("X", "Q", "k", "keep", "message"),
    [
        (some(4, 3), some(1, 2), 1, None, "3-d"),
        (some(4, 3), some(1, 3)[0], 1, None, "shape"),
        (some(4, 3), np.float32(1), 1, None, "shape"),
        (some(4, 3), np.array([[np.nan, 0, 0]], np.float32), 1, None, "finite"),
        (some(4, 3), np.array([[np.inf, 0, 0]], np.float32), 1, None, "finite"),
        (np.array([[1, 0], [np.nan, 0]], np.float32), np.array([[1, 0]], np.float32), 1, None, "vector 1 .*finite"),
        (some(4, 3), some(1, 3), 0, None, "k is 0"),
        (some(4, 3), some(1, 3), -1, None, "k is -1"),
        (some(4, 3), some(1, 3), 1, np.ones(3, bool), "mask"),
        (some(4, 3), some(1, 3), 1, np.arange(4), "mask"),
        (some(4, 3)[0], some(1, 3), 1, None, "shape"),
    ],
)
def test_what_is_no_question_is_refused(make, X, Q, k, keep, message):
    with pytest.raises(ValueError, match=message):
        make(X).search(Q, k, keep=keep)


def test_rows_of_another_dimension_are_refused(make):
    with pytest.raises(ValueError, match="3-d"):
        make(some(4, 3), some(4, 2))


def test_a_view_that_computes_its_rows_gives_the_same(make):
    X, Q = some(50, 16), some(5, 16, seed=1)
    for found, q in zip(make(Lazy(X[:30]), Lazy(X[30:])).search(Q, 9), Q, strict=True):
        assert_same(found, oracle(X, q, 9))


def test_what_was_saved_answers_the_same_and_can_grow(make, tmp_path):
    X, Q = some(40, 8), some(3, 8, seed=1)
    index = make(X[:30])
    index.save(tmp_path / "index")
    loaded = type(index).load(tmp_path / "index", X)
    for found, q in zip(loaded.search(Q, 5), Q, strict=True):
        assert_same(found, oracle(X[:30], q, 5))
    loaded.add(X[30:])
    for found, q in zip(loaded.search(Q, 5), Q, strict=True):
        assert_same(found, oracle(X, q, 5))


def test_nothing_is_saved_and_loaded(make, tmp_path):
    make().save(tmp_path / "index")
    loaded = type(make()).load(tmp_path / "index", EMPTY)
    assert [len(one) for one in loaded.search(some(2, 3), 5)] == [0, 0]


def test_vectors_of_another_shape_are_refused_at_load(make, tmp_path):
    make(some(4, 3)).save(tmp_path / "index")
    for other in (some(3, 3), some(4, 2)):
        with pytest.raises(ValueError, match=r"\(4, 3\)"):
            type(make()).load(tmp_path / "index", other)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"kind": "other", "params": {}, "rows": 4, "dim": 3}', "\x00\x00"], ids=repr
)
def test_a_damaged_description_is_refused(make, tmp_path, text):
    make(some(4, 3)).save(tmp_path)
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError, match="index"):
        type(make()).load(tmp_path, some(4, 3))


def test_an_effort_off_the_ladder_is_refused(make):
    index = make(some(4, 3))
    for effort in (0, max(index.efforts(), default=0) + 1):
        with pytest.raises(ValueError, match="effort"):
            index.search(some(1, 3), 1, effort=effort)


@given(
    n=st.integers(0, 60),
    dim=st.sampled_from([1, 2, 3, 17]),
    k=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
    copies=st.integers(1, 3),
    data=st.data(),
)
@pytest.mark.parametrize("kind", ["exact", "flat"])
def test_any_answer_is_the_oracles(kind, n, dim, k, seed, copies, data):
    X = np.repeat(some(n, dim, seed), copies, axis=0) if n else np.empty((0, dim), np.float32)
    Q = some(5, dim, seed + 1)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(X), max_size=len(X))), bool)
    index = index_class(kind)(X)
    # Alone and beside others: flat takes another way for each.
    for queries in (Q[:1], Q):
        for found, masked, q in zip(
            index.search(queries, k), index.search(queries, k, keep=keep), queries, strict=True
        ):
            assert_same(found, oracle(X, q, k))
            assert_same(masked, oracle(X, q, k, keep=keep))
