"""The benchmark of labels: its draws, its second space, its sums, on rows whose answers are known."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.bench import bench
from benchmarks.datasets import Unavailable
from benchmarks.job import Settings, row
from benchmarks.reports.labels_report import draw, markdown
from benchmarks.reports.page import save, write_tables
from benchmarks.reports.report import Table
from benchmarks.subjects.pixels import principal_axes
from benchmarks.suites.labels import BACKGROUND, Measured, drawn, measured, overlap
from engine.errors import DiskFull
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_rule import Cut
from engine.progress import Silent
from tests.engine.colour import picture

TRUTH = np.array([*"a" * 10, *"b" * 10, *"c" * 10, *"d" * 3, *[BACKGROUND] * 30])


def test_draws_are_of_classes_with_members_to_spare():
    for seed in range(5):
        classes, rows = drawn(TRUTH, 3, seed)
        assert classes == ("a", "b", "c")
        assert rows.shape == (3, 3) and len(np.unique(rows)) == 9
        assert (TRUTH[rows] == np.array(classes)[:, None]).all()
        np.testing.assert_array_equal(rows, drawn(TRUTH, 3, seed)[1])
    assert any((drawn(TRUTH, 3, 0)[1] != drawn(TRUTH, 3, seed)[1]).any() for seed in range(1, 5))


def test_fewer_classes_than_a_draw_takes_are_said():
    with pytest.raises(Unavailable, match="2 of 4 classes have 8 images or more, and a draw takes 3; label more"):
        drawn(TRUTH[10:], 1, 0)


def test_a_store_of_too_few_classes_is_rows_that_say_so(tmp_path):
    for name, count, red in (("a", 8, 0), ("b", 8, 100), ("c", 7, 200)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "pictures" / name / f"{number}.png").write_bytes(picture((red, number, 0)))
    source = [str(tmp_path / "pictures")]
    intake(tmp_path / "store", Request(source, encoders=["none"], labels_from_folders=True, autoencoder=False))
    rows = list(bench("labels", Settings(tmp_path / "labels", data=tmp_path / "store"), Silent()))
    assert [(one["space"], one["params"]["exemplars"]) for one in rows] == [
        ("efficientnet_lite0", 1), ("efficientnet_lite0", 3), ("pixels", 1), ("pixels", 3),
    ]  # fmt: skip
    assert not any(one["available"] for one in rows)
    assert {one["note"].partition(";")[0] for one in rows} == {
        "2 of 3 classes have 8 images or more, and a draw takes 3"
    }


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


def test_a_name_that_is_no_text_is_written_with_marks(tmp_path):
    made = [Table("caf\udce9 é", ("method",), [("k\udcff",)], [])]
    rows = [{**row("toy", "d", "m"), "protocol": "1-0"}]
    write_tables(made, "toy", rows, Settings(tmp_path), Silent())
    assert "caf? é" in (tmp_path / "report.md").read_text("utf-8")
    assert "<td>k?</td>" in (tmp_path / "report.html").read_text("utf-8")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.html", "report.md"]


def test_a_full_disk_under_a_report_is_called_so(tmp_path, monkeypatch):
    (tmp_path / "report.md").write_text("before")

    def full(path: Path, data: bytes) -> int:
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match=r"the disk under .* is full"):
        save(tmp_path / "report.md", "after")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["before"]
