"""Label runs beside the truth: counts worked out by hand, and scikit-learn on real photos."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

import engine as package
from engine.drawing.evaluation import draw_evaluation
from engine.errors import BadInput
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling import labels
from engine.labeling.evaluate import evaluate
from engine.pictures.chart import Line
from engine.pictures.curves import curves
from engine.store import Store
from tests.engine.colour import SPEC, picture, write_tar
from tests.engine.label_runs import label_run

# name → (colour, truth). Cosines with red: r1 0.981, x1 0.958, r2 0.857; g1 with green 0.991; b0 is 0 to both.
PICTURES = {
    "r0": ((200, 0, 0), "red"),
    "r1": ((200, 40, 0), "red"),
    "r2": ((200, 120, 0), "red"),
    "g0": ((0, 150, 0), "green"),
    "g1": ((0, 150, 20), "green"),
    "x1": ((200, 60, 0), "green"),
    "b0": ((0, 0, 250), "blue"),
    "y0": ((0, 150, 30), None),
}
EXEMPLARS = {"red": ["r0"], "green": ["g0"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    sizes = {name: (8 + place, 8) for place, name in enumerate(PICTURES)}
    files = {f"{name}.png": picture(colour, sizes[name]) for name, (colour, _) in PICTURES.items()}
    tar = write_tar(folder / "colours.tar", files)
    rows = [f"{name}.png,{label}" for name, (_, label) in PICTURES.items() if label]
    (folder / "truth.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    request = Request([str(tar)], encoders=[SPEC], workers=1, labels=folder / "truth.csv", labels_role="truth")
    intake(folder / "store", request)
    return folder / "store"


@pytest.fixture
def store(tmp_path, made) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store.open(tmp_path / "store")


@pytest.fixture
def run(store) -> str:
    return label_run(store, EXEMPLARS, 0.9)


def test_counts_worked_out_by_hand(store, run):
    found = evaluate(store, run)
    measured = found.report
    assert found.classes == ("red", "green")
    assert (found.images, found.exemplars, found.unknown, found.truthless, found.conflicting) == (5, 2, 1, 1, 0)
    # r1 and x1 are called red, g1 green; r2 and b0 nothing.
    assert measured.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert measured.precision.tolist() == [0.5, 1.0]
    assert measured.recall.tolist() == [0.5, 0.5]
    assert measured.f1.tolist() == pytest.approx([1 / 2, 2 / 3])
    assert (measured.accuracy, measured.covered) == (0.6, 0.6)
    assert measured.balanced_accuracy == pytest.approx((0.5 + 0.5 + 1) / 3)


def test_classes_may_have_other_names_in_the_truth(store, tmp_path, engine):
    run = label_run(store, {"Character1": ["r0"], "green": ["g0"]}, 0.9)
    found = evaluate(store, run, names={"Character1": "red"})
    assert found.classes == ("red", "green")
    assert found.report.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]
    assert evaluate(store, run).unknown == 3
    for names, message in (({"nobody": "red"}, "no class 'nobody'"), ({"Character1": "green"}, "would be 'green'")):
        with pytest.raises(BadInput, match=message):
            evaluate(store, run, names=names)
    (tmp_path / "t.csv").write_text("image,label\nr1.png,warm\nb0.png,cold\n")
    with pytest.raises(BadInput, match=r"knows no class of run .* \(Character1, green\); it has cold, warm") as caught:
        evaluate(store, run, truth=tmp_path / "t.csv")
    assert caught.value.remedy == "say what is called what: --map Character1=cold"
    shown = engine("evaluate", "--run", run, "--map", "Character1=red", "--output", "out", "--store", store.path)
    assert shown.stderr.startswith(f"run {run}: nearest in space colour at 0.9\naccuracy 0.6000")
    assert "Warning" not in shown.stderr


@pytest.mark.filterwarnings("error")
def test_a_picture_without_a_curve_has_no_legend(tmp_path):
    assert curves(
        [], [], Line("all", np.array([0.5]), np.array([1.0]), None), tmp_path / "c.png", title="none"
    ).exists()


def test_curves_cover_what_the_run_rejected(store, run):
    found = evaluate(store, run)
    assert found.complete and found.note == ""
    # g1, r1, x1 and r2 are answered in this order, the third wrongly; b0 is as far from both.
    assert found.overall.x.tolist() == [0.2, 0.4, 0.6, 0.8]
    assert found.overall.y.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert found.coverages[0].y.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    # Ranked by red alone: r1 and r2 (red) beside x1, g1 and b0: r2 comes after x1.
    assert found.areas[0] == pytest.approx(5 / 6)
    # By green alone: r2 0.51, x1 0.29 and r1 0.20 lie between g1 and b0.
    assert found.areas[1] == pytest.approx(5 / 6)


@pytest.mark.parametrize(("labeler", "options"), [("centroid", {}), ("vote", {"k": 1}), ("nearest", {"margin": 0.1})])
def test_other_labelers_are_scored_again_as_they_were(store, labeler, options):
    found = evaluate(store, label_run(store, EXEMPLARS, 0.9, labeler=labeler, **options))
    assert found.complete and not found.note
    assert found.overall.x[-1] == 0.8
    assert found.report.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_what_cannot_be_scored_again_ends_at_the_threshold(store):
    run = label_run(store, EXEMPLARS, 0.2, labeler="propagate")
    found = evaluate(store, run)
    assert not found.complete and "propagate" in found.note
    assert np.isnan(found.areas).all()
    assert len(found.overall.x) == 0 or found.overall.x[-1] <= found.report.covered


def test_a_label_that_does_not_come_out_again_is_told(store):
    space, b0 = store.space(), next(row["image"] for row in store.members.rows() if row["name"] == "b0.png")
    known = {name: [row["image"].hex() for row in store.members.rows() if row["name"] == f"{some[0]}.png"]
             for name, some in EXEMPLARS.items()}  # fmt: skip
    details = {"labeler": "nearest", "space": space.name, "fingerprint": space.fingerprint, "threshold": 0.9}
    with store.run("label", {**details, "exemplars": known, "classes": ["red", "green"]}) as run:
        ids = np.frombuffer(b0, np.uint8).reshape(1, 32)
        labels.append(store, run.name, ids=ids, labels=["red"], scores=np.array([0.95]), source="run")
    found = evaluate(store, run.name)
    assert not found.complete and "1 labels of the run would be others now" in found.note
    assert found.overall.x.tolist() == [0.2] and found.overall.y.tolist() == [0.0]


def test_images_that_the_run_never_saw_are_told(store, tmp_path, run):
    tar = write_tar(tmp_path / "more.tar", {"r9.png": picture((200, 10, 0), (40, 8))})
    late = tmp_path / "late.csv"
    late.write_text("image,label\nr9.png,red\n")
    intake(store.path, Request([str(tar)], encoders=[SPEC], workers=1, labels=late, labels_role="truth"))
    found = evaluate(store, run)
    assert found.complete and found.note == "1 images meet the threshold that the run did not label"
    assert found.images == 6 and found.report.support.tolist() == [3, 2]


def test_another_fingerprint_is_another_space(store, run):
    (row,) = store.runs.rows(where=f"run = '{run}' AND event = 'start'")
    details = json.loads(row["details"]) | {"fingerprint": "another"}
    with store.run("label", details) as other:
        pass
    found = evaluate(store, other.name)
    assert not found.complete and "another" in found.note


def test_the_truth_of_a_file(store, run, tmp_path):
    (tmp_path / "t.csv").write_text("image,label\nr1.png,red\nx1.png,red\nr0.png,red\n")
    found = evaluate(store, run, truth=tmp_path / "t.csv")
    assert (found.images, found.exemplars, found.truthless) == (2, 1, 3)
    assert found.report.precision[0] == 1.0
    # No green in this truth.
    assert np.isnan(found.report.recall[1]) and found.report.support[1] == 0


def test_the_newest_run_is_meant_where_none_is_named(store, run):
    assert evaluate(store).run == run
    newest = label_run(store, EXEMPLARS, 0.99)
    assert evaluate(store).run == newest
    assert evaluate(store, run).run == run


def test_what_cannot_be_asked(store, run, tmp_path, sample_store):
    with pytest.raises(BadInput, match="'nothing' is no"):
        evaluate(store, "nothing")
    (tmp_path / "t.csv").write_text("image,label\nzebra.png,red\n")
    with pytest.raises(BadInput, match=r"zebra\.png"):
        evaluate(store, run, truth=tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("image,label\nr0.png,red\n")
    with pytest.raises(BadInput, match="exemplars do not count"):
        evaluate(store, run, truth=tmp_path / "t.csv")
    shutil.copytree(sample_store, tmp_path / "sample")
    sample = Store.open(tmp_path / "sample")
    with pytest.raises(BadInput, match="there is no label run"):
        evaluate(sample)
    with pytest.raises(BadInput, match=r"--truth labels\.csv"):
        evaluate(sample, label_run(sample, {"a": ["3"], "b": ["5"]}, 0.7))


@pytest.fixture(scope="module")
def photos(tmp_path_factory, sample_store) -> Store:
    folder = tmp_path_factory.mktemp("evaluate")
    shutil.copytree(sample_store, folder / "store")
    return Store.open(folder / "store")


def test_real_photos_against_scikit_learn(photos, sample_labels):
    with sample_labels.open() as file:
        truth = {row["image"]: row["label"] for row in csv.DictReader(file)}
    classes = sorted(set(truth.values()))[:3]
    chosen = {name: [image for image, label in truth.items() if label == name][:2] for name in classes}
    run = label_run(photos, chosen, 0.5)
    found = evaluate(photos, run, truth=sample_labels)
    rows = photos.members.rows(["name", "image"])
    ids = {row["image"]: row["name"] for row in rows}
    written = labels.run_labels(photos, run)
    said = {ids[one]: label for one, label in zip(written["id"].to_pylist(), written["label"].to_pylist(), strict=True)}
    counted = [name for name in truth if not any(name in some for some in chosen.values())]
    y = [truth[name] if truth[name] in classes else "none" for name in counted]
    answer = [said.get(name, "none") for name in counted]
    precision, recall, f1, support = precision_recall_fscore_support(y, answer, labels=classes)
    measured = found.report
    np.testing.assert_allclose(measured.precision, precision)
    np.testing.assert_allclose(measured.recall, recall)
    np.testing.assert_allclose(measured.f1, f1)
    assert measured.support.tolist() == support.tolist()
    assert measured.confusion.tolist() == confusion_matrix(y, answer, labels=[*classes, "none"]).tolist()
    assert measured.balanced_accuracy == pytest.approx(balanced_accuracy_score(y, answer))
    assert measured.covered == pytest.approx(np.mean([one != "none" for one in answer]))
    vectors = photos.vectors(photos.space())
    by_name = {row["name"]: row["image"] for row in rows}
    place = {name: vectors.positions(id_array_of(by_name[name]))[0] for name in truth}
    for code, name in enumerate(classes):
        E = vectors.matrix[[place[one] for one in chosen[name]]]
        scores = (vectors.matrix[[place[one] for one in counted]] @ E.T).max(axis=1)
        assert found.areas[code] == pytest.approx(roc_auc_score([one == name for one in y], scores), abs=1e-6)


def id_array_of(image: bytes) -> np.ndarray:
    return np.frombuffer(image, np.uint8).reshape(1, 32)


def test_pictures_are_drawn(store, run, tmp_path):
    found = evaluate(store, run)
    drawn = draw_evaluation(found, tmp_path / "new" / "folder")
    assert [path.name for path in drawn] == ["curves.png", "confusion.png"]
    for path in drawn:
        with Image.open(path) as image:
            assert min(image.size) > 300 and len(np.unique(np.asarray(image.convert("L")))) > 10
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["confusion.png", "curves.png"]
    # Runs without a curve are drawn too.
    draw_evaluation(evaluate(store, label_run(store, EXEMPLARS, 0.2, labeler="propagate")), tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        draw_evaluation(found, tmp_path / "file")


def test_the_command_and_the_api(store, run, engine, tmp_path):
    done = engine("evaluate", "--run", run, "--store", store.path, "--output", "out", "--json")
    document = json.loads(done.stdout)
    assert document["accuracy"] == 0.6 and document["ece"] is None and document["exemplars"] == 2
    assert document["classes"]["red"]["precision"] == 0.5 and document["classes"]["green"]["support"] == 2
    assert document["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert [Path(path).name for path in document["pictures"]] == ["curves.png", "confusion.png"]
    (tmp_path / "t.csv").write_text("image,label\nr1.png,red\n")
    few = json.loads(engine("evaluate", "--run", run, "--store", store.path, "--truth", "t.csv", "--json").stdout)
    assert [few["classes"]["green"][name] for name in ("precision", "recall", "f1")] == [None] * 3
    # What the truth never names counts in no mean, though images were labelled so.
    (tmp_path / "r.csv").write_text("image,label\nr1.png,red\nx1.png,red\ng1.png,red\n")
    some = json.loads(engine("evaluate", "--run", run, "--store", store.path, "--truth", "r.csv", "--json").stdout)
    assert some["classes"]["green"]["labelled"] > 0
    assert [some["classes"]["green"][name] for name in ("precision", "recall", "f1")] == [None] * 3
    assert some["macro"]["precision"] == some["classes"]["red"]["precision"]
    shown = engine("evaluate", "--run", run, "--store", store.path, "--truth", "t.csv")
    assert "green\t0\t0\tnan\tnan\tnan\tnan\tnan\tnan" in shown.stdout
    assert "left out: 0 exemplars" in shown.stderr
    found = package.open(store.path).evaluate(run, output=tmp_path / "api")
    assert found.report.accuracy == 0.6 and (tmp_path / "api" / "curves.png").is_file()
