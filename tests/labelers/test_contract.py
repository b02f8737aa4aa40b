"""What every labeler answers; members of `LABELERS` join by being listed there."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import pytest

from labelers import LABELERS, Exemplars, Labels

CLASSES = ("a", "b", "c")


def unit(X):
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def clusters(n: int = 90, dim: int = 16, seed: int = 0):
    """Return rows around three centres and in between, and exemplars that are none of them, two negative."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, dim))
    codes = np.arange(n) % 3
    X = unit(centres[codes] + 0.7 * rng.normal(size=(n, dim)))
    known = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
    matrix = unit(centres[known] + 0.7 * rng.normal(size=(8, dim)))
    return X, Exemplars(CLASSES, matrix, known, np.arange(8) < 6)


def take(exemplars: Exemplars, rows) -> Exemplars:
    kept = exemplars.matrix[rows], exemplars.codes[rows], exemplars.polarity[rows]
    return Exemplars(exemplars.classes, *kept)


def assert_same(found: Labels, expected: Labels) -> None:
    np.testing.assert_array_equal(found.codes, expected.codes)
    np.testing.assert_array_equal(found.conflict, expected.conflict)
    # What nothing decides is scored in float32.
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-6)
    accepted = found.codes >= 0
    np.testing.assert_array_equal(found.scores[accepted], expected.scores[accepted])
    np.testing.assert_array_equal(found.runner_up[accepted], expected.runner_up[accepted])


@pytest.fixture(params=sorted(LABELERS))
def label(request):
    module, _, name = LABELERS[request.param].partition(":")
    return getattr(importlib.import_module(module), name)


@dataclass(frozen=True)
class Lazy:
    """Rows that can be sliced and nothing else."""

    X: np.ndarray

    @property
    def shape(self):
        return self.X.shape

    def __getitem__(self, rows: slice):
        assert isinstance(rows, slice)
        return self.X[rows].copy()


def test_the_fields_have_their_types_and_fit_together(label):
    X, exemplars = clusters()
    found = label(X, exemplars, threshold=0.4, margin=0.05)
    assert len(found) == len(X)
    assert found.classes == CLASSES
    kinds = [getattr(found, name).dtype for name in ("codes", "best", "scores", "runner_up", "conflict")]
    assert kinds == [np.int32, np.int32, np.float64, np.float64, bool]
    accepted = found.codes >= 0
    assert 0 < accepted.sum() < len(X)
    np.testing.assert_array_equal(found.codes[accepted], found.best[accepted])
    assert (found.scores[accepted] >= 0.4).all()
    assert not (found.conflict & accepted).any()
    met = (found.best >= 0) & (found.scores >= 0.4)
    np.testing.assert_array_equal(found.conflict, met & ~accepted)


def test_most_labels_are_right(label):
    X, exemplars = clusters()
    found = label(X, exemplars, threshold=-1.0)
    accepted = found.codes >= 0
    assert np.mean((found.codes == np.arange(len(X)) % 3)[accepted]) > 0.8


def test_no_rows(label):
    _, exemplars = clusters()
    found = label(np.empty((0, 16), np.float32), exemplars, threshold=0.5)
    assert len(found) == len(found.scores) == len(found.conflict) == 0


def test_one_class_has_no_runner_up(label):
    X, exemplars = clusters()
    found = label(X, Exemplars(("a",), exemplars.matrix[:1], exemplars.codes[:1], np.ones(1, bool)), threshold=0.5)
    assert set(found.codes) == {-1, 0}
    assert (found.runner_up == -np.inf).all()
    assert not found.conflict.any()


def test_a_score_exactly_on_the_threshold_is_accepted(label):
    X, exemplars = clusters()
    found = label(X, exemplars, threshold=-1.0)
    for row in np.flatnonzero(found.codes >= 0)[:20]:
        score = found.scores[row]
        assert label(X, exemplars, threshold=score).codes[row] == found.codes[row]
        assert label(X, exemplars, threshold=np.nextafter(score, 2)).codes[row] == -1


def test_a_margin_exactly_met_is_accepted(label):
    X, exemplars = clusters()
    found = label(X, exemplars, threshold=-1.0)
    gaps = found.scores - found.runner_up
    for row in np.flatnonzero((found.codes >= 0) & np.isfinite(gaps) & (gaps > 0))[:20]:
        assert label(X, exemplars, threshold=-1.0, margin=gaps[row]).codes[row] == found.codes[row]
        beyond = label(X, exemplars, threshold=-1.0, margin=np.nextafter(gaps[row], 2))
        assert (beyond.codes[row], beyond.conflict[row]) == (-1, True)


def test_a_tie_is_a_conflict_and_no_label(label):
    # The first row lies between two classes; the fourth is the mirror image of the second.
    X = unit(np.array([[1, 1, 0], [1, 0.1, 0], [0.1, 0.1, 1], [0.1, 1, 0]], np.float32))
    exemplars = Exemplars(("a", "b"), X[[1, 3]], np.array([0, 1], np.int32), np.ones(2, bool))
    found = label(X, exemplars, threshold=0.3)
    assert (found.codes[0], found.conflict[0]) == (-1, True)
    assert found.scores[0] == found.runner_up[0]
    assert found.codes[[1, 3]].tolist() == [0, 1]


def test_raising_a_threshold_or_the_margin_never_adds_a_label(label):
    X, exemplars = clusters()
    before = label(X, exemplars, threshold=-1.0).codes
    steps = [([t] * 3, 0.0) for t in np.linspace(0, 1, 15)]
    steps += [([1, t, 0.2], 0.02) for t in np.linspace(0.2, 1, 9)]
    for threshold, margin in steps:
        codes = label(X, exemplars, threshold=threshold, margin=margin).codes
        assert ((codes == -1) | (codes == label(X, exemplars, threshold=-1.0).codes)).all()
        if margin == 0:
            assert ((codes == -1) | (codes == before)).all()
            before = codes


def test_each_class_has_its_threshold(label):
    X, exemplars = clusters()
    one = [label(X, exemplars, threshold=t) for t in (0.3, 0.5, 0.7)]
    found = label(X, exemplars, threshold=np.array([0.3, 0.5, 0.7]))
    for code in range(3):
        np.testing.assert_array_equal(found.codes == code, one[code].codes == code)


def test_permuted_rows_give_permuted_labels(label):
    X, exemplars = clusters()
    order = np.random.default_rng(1).permutation(len(X))
    found, expected = (label(rows, exemplars, threshold=0.4, margin=0.01) for rows in (X[order], X))
    fields = ("codes", "best", "scores", "runner_up", "conflict")
    assert_same(found, Labels(CLASSES, *(getattr(expected, field)[order] for field in fields)))


def test_the_order_of_exemplars_is_nothing(label):
    X, exemplars = clusters()
    expected = label(X, exemplars, threshold=0.4, margin=0.01)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(exemplars.codes))
        found = label(X, take(exemplars, order), threshold=0.4, margin=0.01)
        for field in ("codes", "best", "scores", "runner_up", "conflict"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_a_negative_exemplar_takes_its_own_image_away(label):
    X, exemplars = clusters()
    found = label(X, exemplars, threshold=0.3)
    row = np.flatnonzero(found.codes >= 0)[0]
    code = found.codes[row]
    against = Exemplars(
        CLASSES,
        np.concatenate([exemplars.matrix, np.repeat(X[row : row + 1], 12, axis=0)]),
        np.concatenate([exemplars.codes, np.full(12, code, np.int32)]),
        np.concatenate([exemplars.polarity, np.zeros(12, bool)]),
    )
    assert label(X, against, threshold=0.3).codes[row] != code


@pytest.mark.parametrize("form", ["mapped", "lazy", "fortran", "float64", "not contiguous"])
def test_rows_come_in_many_forms(label, form, tmp_path, monkeypatch):
    X, exemplars = clusters()
    X.tofile(tmp_path / "X.f32")
    forms = {
        "mapped": lambda: np.memmap(tmp_path / "X.f32", np.float32, "r", shape=X.shape),
        "lazy": lambda: Lazy(X),
        "fortran": lambda: np.asfortranarray(X),
        "float64": lambda: X.astype(np.float64),
        "not contiguous": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    }
    assert_same(label(forms[form](), exemplars, threshold=0.4), label(X, exemplars, threshold=0.4))


def test_blocks_are_one_collection(label, monkeypatch):
    X, exemplars = clusters()
    expected = label(X, exemplars, threshold=0.4)
    for module in ("labelers.scan", "labelers.propagate"):
        monkeypatch.setattr(f"{module}.BLOCK_ROWS", 7)
    assert_same(label(X, exemplars, threshold=0.4), expected)


def test_nothing_given_is_written(label):
    X, exemplars = clusters()
    for array in (X, exemplars.matrix, exemplars.codes, exemplars.polarity):
        array.flags.writeable = False
    label(X, exemplars, threshold=0.4)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_refused(label, value):
    X, exemplars = clusters()
    X[41, 3] = value
    with pytest.raises(ValueError, match="vector 41 is not finite"):
        label(X, exemplars, threshold=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": np.nan}, "threshold is nan"),
        ({"threshold": [0.5, 0.5]}, "each of 3"),
        ({"threshold": 0.5, "margin": -0.1}, "margin is -0.1"),
        ({"threshold": 0.5, "margin": np.nan}, "margin is nan"),
    ],
)
def test_what_is_no_threshold_is_refused(label, options, message):
    with pytest.raises(ValueError, match=message):
        label(*clusters(), **options)


@pytest.mark.parametrize("shape", [(4, 3), (0, 3), (16,)])
def test_rows_of_another_shape_are_refused(label, shape):
    with pytest.raises(ValueError, match="16-d"):
        label(np.ones(shape, np.float32), clusters()[1], threshold=0.5)


@pytest.mark.parametrize(
    ("classes", "m", "codes", "polarity", "message"),
    [
        (("a",), 0, [], [], "no exemplar"),
        (("a", "b"), 2, [0, 0], [True, True], "no positive exemplar of b"),
        (("a", "b"), 2, [0, 1], [True, False], "no positive exemplar of b"),
        (("a", "a"), 2, [0, 1], [True, True], "twice"),
        (("a",), 2, [0, 1], [True, True], "codes go from 0 to 1"),
        (("a",), 2, [0, -1], [True, True], "codes go from -1"),
        (("a",), 2, [0], [True], "shapes"),
    ],
)
def test_what_is_no_exemplar_is_refused(classes, m, codes, polarity, message):
    with pytest.raises(ValueError, match=message):
        Exemplars(classes, np.ones((m, 3), np.float32), np.array(codes, np.int32), np.array(polarity, bool))


def test_an_exemplar_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        Exemplars(("a",), np.full((1, 3), np.nan, np.float32), np.zeros(1, np.int32), np.ones(1, bool))
