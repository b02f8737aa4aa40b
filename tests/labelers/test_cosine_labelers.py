"""nearest, centroid and vote against a float64 oracle that takes one row at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexers.exact import ExactIndex
from labelers import Exemplars, centroid, nearest, vote


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def some(n: int, dim: int, seed: int = 0):
    return unit(np.random.default_rng(seed).normal(size=(n, dim)))


def known(matrix, codes, polarity=None) -> Exemplars:
    codes = np.asarray(codes, np.int32)
    polarity = np.ones(len(codes), bool) if polarity is None else np.asarray(polarity, bool)
    return Exemplars(tuple("abcdefgh"[: codes.max() + 1]), np.asarray(matrix, np.float32), codes, polarity)


def cosine(a, b) -> float:
    return float((np.asarray(a, np.float64) * np.asarray(b, np.float64)).sum())


def class_scores(row, exemplars: Exemplars) -> list[float]:
    scores = []
    for code in range(len(exemplars.classes)):
        near, far = (
            [cosine(row, e) for e, c, p in rows(exemplars) if c == code and p == positive] for positive in (True, False)
        )
        scores.append(max(near) if max(near) > max(far, default=-2) else -np.inf)
    return scores


def rows(exemplars: Exemplars):
    return zip(exemplars.matrix, exemplars.codes, exemplars.polarity, strict=True)


def expected(row, exemplars: Exemplars, threshold: float, margin: float) -> tuple[int, float, bool]:
    scores = class_scores(row, exemplars)
    first, *others = sorted(scores, reverse=True)
    second = max(others, default=-np.inf)
    met = first >= threshold and first > -np.inf
    clear = met and first > second and first - second >= margin
    return (scores.index(first) if clear else -1), first, met and not clear


@given(
    n=st.integers(1, 30),
    dim=st.sampled_from([2, 3, 17]),
    m=st.integers(1, 9),
    copies=st.integers(1, 2),
    threshold=st.sampled_from([-1.0, 0.0, 0.5, 0.9]),
    margin=st.sampled_from([0.0, 0.05, 0.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_label_by_nearest_is_the_oracles(n, dim, m, copies, threshold, margin, seed):
    rng = np.random.default_rng(seed)
    # Some rows are exemplars, and some exemplars are there twice, for ties.
    matrix = some(m, dim, seed)
    X = np.concatenate([some(n, dim, seed + 1), matrix])
    matrix = np.repeat(matrix, copies, axis=0)
    codes = np.concatenate([np.arange(min(3, len(matrix))), rng.integers(0, min(3, len(matrix)), len(matrix))])
    codes = codes[: len(matrix)]
    polarity = (rng.random(len(matrix)) < 0.7) | (np.arange(len(matrix)) < 3)
    exemplars = known(matrix, codes, polarity)
    found = nearest.label(X, exemplars, threshold=threshold, margin=margin)
    for i, row in enumerate(X):
        code, score, conflict = expected(row, exemplars, threshold, margin)
        assert (found.codes[i], found.conflict[i]) == (code, conflict)
        assert found.scores[i] == pytest.approx(score, abs=2e-6)


def test_accepted_scores_are_those_of_the_exact_index_to_the_last_bit():
    X, E = some(1500, 64), some(4, 64, seed=1)
    found = nearest.label(X, known(E, [0, 1, 1, 2]), threshold=0.1)
    index = ExactIndex(X)
    best = np.full(len(X), -np.inf)
    for one in index.search(E, len(X)):
        best[one.positions] = np.maximum(best[one.positions], one.scores)
    accepted = found.codes >= 0
    assert accepted.sum() > 50
    np.testing.assert_array_equal(found.scores[accepted], best[accepted])


def test_the_strongest_rejected_keep_their_class():
    X = unit(np.array([[1, 0.2], [0.2, 1]], np.float32))
    found = nearest.label(X, known(np.eye(2), [0, 1]), threshold=0.99)
    assert found.codes.tolist() == [-1, -1]
    assert found.best.tolist() == [0, 1]
    np.testing.assert_allclose(found.scores, 1 / np.sqrt(1.04), atol=1e-6)


def test_a_row_as_close_to_a_negative_as_to_a_positive_is_not_of_the_class():
    X = np.array([[1, 0, 0], [0, 0, 1], [0.6, 0, 0.8]], np.float32)
    exemplars = known(np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32), [0, 0, 0], [1, 1, 0])
    tie = unit(np.array([[1, 1, 0]], np.float32))
    found = nearest.label(np.concatenate([X, tie]), exemplars, threshold=0.5)
    assert found.codes.tolist() == [0, 0, 0, -1]
    assert (found.best[3], found.scores[3], found.conflict[3]) == (-1, -np.inf, False)


def test_the_best_class_is_chosen_before_thresholds_are_looked_at():
    X = unit(np.array([[1, 0.9]], np.float32))
    found = nearest.label(X, known(np.eye(2), [0, 1]), threshold=np.array([0.9, 0.5]))
    assert (found.codes[0], found.best[0]) == (-1, 0)


def test_the_centroid_is_the_unit_mean():
    X = some(50, 8)
    E = some(6, 8, seed=1)
    found = centroid.label(X, known(E, [0, 0, 0, 1, 1, 1]), threshold=-1.0)
    means = np.stack([E[:3].astype(np.float64).mean(axis=0), E[3:].astype(np.float64).mean(axis=0)])
    scores = X.astype(np.float64) @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    np.testing.assert_array_equal(found.codes, scores.argmax(axis=1))
    np.testing.assert_allclose(found.scores, scores.max(axis=1), atol=1e-7)
    np.testing.assert_allclose(found.runner_up, scores.min(axis=1), atol=1e-7)


def test_a_mean_without_direction_is_refused():
    with pytest.raises(ValueError, match="cancel"):
        centroid.label(some(3, 2), known([[1, 0], [-1, 0]], [0, 0]), threshold=0.5)


def vote_oracle(row, exemplars: Exemplars, k: int, share: float) -> tuple[int, float]:
    scores = np.array([cosine(row, e) for e in exemplars.matrix])
    voting = scores >= np.sort(scores)[::-1][: min(k, len(scores))][-1]
    weight = np.where(voting, np.maximum(scores, 0), 0)
    votes, means = [], []
    for code in range(len(exemplars.classes)):
        mine = (exemplars.codes == code) & voting
        supporters = mine & exemplars.polarity
        against = weight[mine & ~exemplars.polarity].sum()
        votes.append(weight[supporters].sum() - against if supporters.any() else -np.inf)
        means.append(scores[supporters].mean() if supporters.any() else -np.inf)
    best = int(np.argmax(votes))
    return (best if votes[best] >= share * weight.sum() else -1), means[best]


@pytest.mark.parametrize("k", [1, 3, 5, 100])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_votes_are_the_oracles(k, share):
    X = some(80, 6)
    exemplars = known(some(12, 6, seed=1), [0, 1, 2] * 4, [1] * 9 + [0] * 3)
    found = vote.label(X, exemplars, threshold=-1.0, k=k, share=share)
    for i, row in enumerate(X):
        code, score = vote_oracle(row, exemplars, k, share)
        assert found.codes[i] == code
        assert found.conflict[i] == (code == -1 and score > -np.inf)
        assert found.scores[i] == pytest.approx(score, abs=1e-6)


def test_a_single_neighbour_is_the_nearest_exemplar():
    X, exemplars = some(60, 5), known(some(9, 5, seed=1), [0, 1, 2] * 3)
    by_vote = vote.label(X, exemplars, threshold=0.6, k=1)
    by_nearest = nearest.label(X, exemplars, threshold=0.6)
    np.testing.assert_array_equal(by_vote.codes, by_nearest.codes)
    accepted = by_vote.codes >= 0
    np.testing.assert_array_equal(by_vote.scores[accepted], by_nearest.scores[accepted])


def test_many_win_over_one_that_is_closer():
    angles = np.radians([5, 20, 21, 22])
    E = np.column_stack([np.cos(angles), np.sin(angles)])
    X = np.array([[1, 0]], np.float32)
    found = vote.label(X, known(E, [0, 1, 1, 1]), threshold=0.9, k=4)
    assert (found.codes[0], found.best[0]) == (1, 1)
    np.testing.assert_allclose(found.scores, np.cos(angles[1:]).mean(), atol=1e-6)
    assert found.runner_up[0] == pytest.approx(np.cos(angles[0]), abs=1e-6)
    # A margin asks the cosines, too.
    assert vote.label(X, known(E, [0, 1, 1, 1]), threshold=0.9, k=4, margin=0.01).conflict[0]


@pytest.mark.parametrize("options", [{"k": 0}, {"share": 1.5}, {"share": np.nan}])
def test_what_is_no_vote_is_refused(options):
    with pytest.raises(ValueError, match="k is"):
        vote.label(some(3, 2), known(np.eye(2), [0, 1]), threshold=0.5, **options)


def test_scores_in_every_class_are_those_of_a_loop():
    rng = np.random.default_rng(4)
    X, E = (rng.normal(size=(n, 8)).astype(np.float32) for n in (50, 9))
    codes = np.array([0, 0, 1, 1, 2, 2, 0, 1, 2], np.int32)
    polarity = np.arange(9) < 7
    found = nearest.class_scores(X, Exemplars(("a", "b", "c"), E, codes, polarity))
    cosines = E.astype(np.float64) @ X.T.astype(np.float64)
    for code in range(3):
        near = cosines[(codes == code) & polarity].max(axis=0)
        far = cosines[(codes == code) & ~polarity].max(axis=0, initial=-np.inf)
        np.testing.assert_allclose(found[code], np.where(near > far, near, -np.inf), rtol=1e-5)
