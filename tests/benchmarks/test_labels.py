"""The benchmark of labels: its draws, its second space, its sums, on rows whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.job import row
from benchmarks.labels import BACKGROUND, Measured, drawn, measured, overlap
from benchmarks.labels_report import draw, markdown
from benchmarks.pixels import principal_axes
from engine.labeling.label_rule import Cut

TRUTH = np.array([*"a" * 10, *"b" * 10, *"c" * 10, *"d" * 3, *[BACKGROUND] * 30])


def test_draws_are_of_classes_with_members_to_spare():
    for seed in range(5):
        classes, rows = drawn(TRUTH, 3, seed)
        assert classes == ("a", "b", "c")
        assert rows.shape == (3, 3) and len(np.unique(rows)) == 9
        assert (TRUTH[rows] == np.array(classes)[:, None]).all()
        np.testing.assert_array_equal(rows, drawn(TRUTH, 3, seed)[1])
    assert any((drawn(TRUTH, 3, 0)[1] != drawn(TRUTH, 3, seed)[1]).any() for seed in range(1, 5))


def test_overlap_is_one_with_itself_and_chance_with_another():
    rng = np.random.default_rng(0)
    A, B = (rng.standard_normal((400, 16)).astype(np.float32) for _ in range(2))
    assert overlap(A, A) == 1.0
    assert overlap(A, B) == pytest.approx(10 / 399, abs=0.01)


@pytest.mark.parametrize("rows", [50, 15])
def test_axes_are_those_of_a_singular_value_decomposition(rows):
    """The side that is solved is the smaller one, and both give the same axes."""
    scale = np.arange(1, 21, dtype=np.float32)
    pixels = np.random.default_rng(1).standard_normal((rows, 20)).astype(np.float32) * scale
    mean, axes = principal_axes(pixels, 4)
    centred = (pixels - pixels.mean(axis=0)).astype(np.float64)
    expected = np.linalg.svd(centred)[2][:4].T
    np.testing.assert_allclose(mean, pixels.mean(axis=0))
    np.testing.assert_allclose(np.abs((axes * expected).sum(axis=0)), 1, atol=1e-4)


def test_sums_are_those_of_a_perfect_space():
    """Each class has an axis of its own; the rest lies on a fourth."""
    axis = {"a": 0, "b": 1, "c": 2}
    X = np.eye(4, dtype=np.float32)[[axis.get(name, 3) for name in TRUTH]]
    X[9] = (0.6, 0, 0, 0.8)
    space = Measured("made", "0", X, None, {"at 0.7": Cut(0.7, None), "at 0.5": Cut(0.5, None)})
    found = {one["rule"]: one["metrics"] for one in measured(space, TRUTH, 1, 20, 0, labelers=["nearest"])}
    # As long as row 9 is no exemplar: 27 rows are of the classes, and it is below the first threshold.
    exemplar = np.array([(drawn(TRUTH, 1, number)[1] == 9).any() for number in range(20)])
    # Alone as the exemplar of a, it finds its own and, at 0.5, 33 others of which 9 are right.
    strict = np.where(exemplar, 18 / 27, 26 / 27)
    assert found["at 0.7"]["recall"] == pytest.approx(strict.mean())
    assert found["at 0.5"]["recall"] == pytest.approx(1.0)
    precision = np.where(exemplar, 18 / (18 + 33), 1.0)
    assert found["at 0.7"]["precision"] == pytest.approx(precision.mean())


def test_the_report_has_a_row_for_each(tmp_path):
    metrics = {"precision": 0.5, "precision_sd": 0.1, "recall": 0.25, "recall_sd": 0.0, "draws_with_labels": 20}
    params = {"rule": "at 0.7", "exemplars": 1, "draws": 20, "threshold": 0.7}
    rows = [row("labels", "d", "nearest", params=params, metrics=metrics, space="s")]
    rows.append({**rows[0], "metrics": {**metrics, "precision": None, "draws_with_labels": 0}})
    text = markdown(rows, None, "overlap 0.1")
    assert "| s | 1 | nearest | at 0.7 | 0.700 | 0.500 ± 0.100 | 0.250 ± 0.000 | 20 |" in text
    assert "| – | 0.250 ± 0.000 | 0 |" in text
    draw(rows, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.width == 1200
