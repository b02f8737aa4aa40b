"""Which space separates the labels, on colours whose answers are known and on photos."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import silhouette_score

import engine as package
from engine.drawing.doctor import draw_diagnosis
from engine.errors import BadInput, EmptySpace
from engine.ingestion.fill import fuse_spaces
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling import doctor as verb
from engine.labeling import labels
from engine.labeling.doctor import doctor
from engine.store import Space, Store
from engine.store.vectors import id_array, vector_rows
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import SPEC, picture, write_tar

# Reds and greens lie far apart as colours; half of each is dark and half is light, so that brightness mixes them.
REDS = [(120, 0, 0), (130, 10, 0), (255, 60, 60), (250, 70, 70), (140, 0, 10)]
GREENS = [(0, 120, 0), (0, 130, 10), (60, 255, 60), (70, 250, 70), (0, 140, 0)]
PICTURES = {
    f"{name}{place}": (name, colour)
    for name, some in (("red", REDS), ("green", GREENS))
    for place, colour in enumerate(some)
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("doctor")
    files = {f"{name}.png": picture(colour, (8, 8 + at)) for at, (name, (_, colour)) in enumerate(PICTURES.items())}
    tar = write_tar(folder / "colours.tar", files)
    (folder / "given.csv").write_text("image,label\n" + "".join(f"{n}.png,{c}\n" for n, (c, _) in PICTURES.items()))
    encoders = [SPEC, BRIGHTNESS]
    intake(folder / "store", Request([str(tar)], encoders=encoders, workers=1, labels=folder / "given.csv"))
    return folder / "store"


@pytest.fixture
def store(tmp_path, made) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store.open(tmp_path / "store")


def ids_of(store: Store, *names: str) -> np.ndarray:
    known = {row["name"]: row["image"] for row in store.members.rows(["name", "image"])}
    return np.frombuffer(b"".join(known[f"{name}.png"] for name in names), np.uint8).reshape(-1, 32)


def say(store: Store, label: str, *names: str, source="human", polarity=True) -> None:
    with store.run("labels set", {}) as run:
        ids = ids_of(store, *names)
        labels.append(store, run.name, ids=ids, labels=[label] * len(ids), source=source, polarity=polarity)


def test_the_space_that_separates_is_recommended(store):
    found = doctor(store)
    assert [one.space for one in found.spaces] == ["colour", "brightness"]
    assert (found.recommended, found.images, found.sizes) == ("colour", 10, {"green": 5, "red": 5})
    # All neighbours but its own class's four others: k is one less than the smallest class.
    assert found.k == 4
    assert found.spaces[0].separation.knn_agreement == 1.0
    assert found.spaces[1].separation.knn_agreement < 0.6
    assert found.difference is not None and found.difference.certain
    assert found.warnings == ["10 labelled images are few: figures change with every label more"]


def test_the_figures_are_those_of_the_vectors(store):
    found = doctor(store, spaces=["colour"])
    vectors, given = store.vectors(store.space("colour")), labels.statements(store, ["given"])
    places = vectors.positions(id_array(given["id"]))
    X, names = vectors.matrix[places].astype(np.float64), np.array(given["label"].to_pylist())
    (one,) = found.spaces
    assert one.separation.silhouette == pytest.approx(silhouette_score(X, names, metric="cosine"), abs=1e-6)
    cosines = X @ X.T
    alike = cosines[(names[:, None] == names) & ~np.eye(len(X), dtype=bool)]
    apart = cosines[names[:, None] != names]
    assert one.separation.same.min() >= alike.min() - 1e-6 and one.separation.other.max() <= apart.max() + 1e-6
    # No pair of two classes is as close as the least close of one: every threshold is right, all are found.
    assert alike.min() > apart.max()
    assert (one.separation.needed.precision, one.separation.needed.recall) == (1, 1)
    assert one.threshold is not None and one.threshold >= one.separation.needed.threshold >= alike.min() - 1e-6
    assert found.difference is None


def test_in_words(store):
    best, doubt, threshold, todo = doctor(store).words()
    assert best.startswith("In space colour, 100.0 % of the 4 nearest images of a labelled one have its label; in bri")
    assert "is larger than its uncertainty: use colour" in doubt and "bootstrap over 10 images" in doubt
    assert "takes a threshold of 0." in threshold and "finds 100.0 % of them" in threshold
    assert todo.startswith("Next: engine label --space colour --threshold 0.")


def test_a_space_that_takes_no_pictures_says_so(store):
    found = doctor(store)
    brought = [replace(one, brought=one.space == "colour") for one in found.spaces]
    said = replace(found, spaces=brought).words()
    assert said == [*found.words()[:2], "Space colour was brought: it takes no new pictures.", *found.words()[2:]]


def test_where_little_is_labelled_a_rate_is_suggested(store):
    say(store, "red", "red0", "red2")
    say(store, "green", "green0", "green2")
    found = doctor(store, spaces=["colour"], sources=["human"])
    assert found.share == 0.4 and found.chosen.fpr > 1e-3
    # All of those that are labelled are found, which says nothing of the others.
    assert "finds 100.0 % of them" in found.words()[1]
    assert "--fpr 0.001 (only 40.0 % of the images are labelled" in found.words()[2]


def copied(store: Store, name: str, *, fewer: int = 0) -> None:
    """Make another space with the vectors of colour, less some."""
    vectors = store.vectors(store.space("colour"))
    space = store.declare(Space(name, "c09ed", 3, "user"), "run")
    ids = [one.tobytes() for one in vectors.ids[fewer:]]
    store.vectors_table(space).merge(vector_rows(ids, np.array(vectors.matrix[fewer:])))


def test_what_is_alike_is_a_toss_up_and_what_is_not_fused_is_preferred(store):
    copied(store, "again")
    fuse_spaces(store.path, ["colour=0.5", "again=0.5"], space="fused", stored=False)
    found = doctor(store, spaces=["fused", "again", "colour"])
    assert found.difference is not None
    assert found.difference.mean == pytest.approx(0) and not found.difference.certain
    assert found.recommended in ("again", "colour")
    assert "either will do" in found.words()[1]


def test_spaces_are_measured_on_the_images_that_all_of_them_have(store):
    copied(store, "partly", fewer=2)
    found = doctor(store)
    assert {one.space: one.coverage for one in found.spaces} == {"colour": 1, "brightness": 1, "partly": 0.8}
    assert found.images == 8


def test_an_empty_space_is_left_out_unless_it_is_named(store):
    store.declare(Space("empty", "e397", 3, "user"), "run")
    found = doctor(store)
    assert "empty" not in [one.space for one in found.spaces] and "'empty'" in found.warnings[0] + found.warnings[1]
    with pytest.raises(EmptySpace, match="empty"):
        doctor(store, spaces=["empty"])


def test_what_a_person_says_counts_first(store):
    say(store, "green", "red0")
    assert doctor(store).sizes == {"green": 6, "red": 4}
    assert doctor(store, sources=["given"]).sizes == {"green": 5, "red": 5}
    # Two are enough of each.
    say(store, "light", "red2", "green2", source="exemplar")
    assert doctor(store, sources=["human", "exemplar", "given"]).sizes == {"green": 5, "light": 2, "red": 3}


def test_conflicts_small_classes_and_duplicates_are_warned_of(store):
    say(store, "red", "green1", source="given")
    say(store, "lonely", "green4")
    text = " ".join(doctor(store, spaces=["colour"]).warnings)
    assert "several labels count alike: 1;" in text and "can be measured: lonely" in text
    assert "near duplicates" not in text
    say(store, "dark red", "red0", "red1", "red4", source="exemplar")
    # In the colour space they are near duplicates, and so they are by brightness: dark.
    assert any("dark red are near duplicates" in one for one in doctor(store, sources=["exemplar", "given"]).warnings)


def test_more_labels_than_are_measured_are_drawn(store, monkeypatch):
    monkeypatch.setattr(verb, "MOST", 8)
    assert doctor(store).images == 8
    assert doctor(store).sizes == doctor(store).sizes


def test_labels_for_evaluation_are_read_when_asked_for(store):
    with pytest.raises(BadInput, match="0 labelled images"):
        doctor(store, truth=True)
    say(store, "light", "red2", "red3", source="truth")
    say(store, "dark", "red0", "green0", source="truth")
    found = doctor(store, truth=True)
    assert (found.sources, found.sizes) == (("truth",), {"dark": 2, "light": 2})


def test_too_few_labels_are_refused_with_a_remedy(store):
    with pytest.raises(BadInput, match=r"0 classes of two images or more.*engine labels set"):
        doctor(store, sources=["human"])
    say(store, "red", "red0", "red1")
    say(store, "green", "green0")
    with pytest.raises(BadInput, match=r"3 labelled images.*1 classes of two"):
        doctor(store, sources=["human"])


def test_what_cannot_be_asked(store):
    with pytest.raises(BadInput, match="--labels human,nobody"):
        doctor(store, sources=["human", "nobody"])
    with pytest.raises(BadInput, match="--labels  is"):
        doctor(store, sources=[])
    for precision in (0, 1.5, float("nan")):
        with pytest.raises(BadInput, match="the precision is"):
            doctor(store, precision=precision)
    with pytest.raises(EmptySpace):
        doctor(store, spaces=["unknown"])


def test_no_threshold_is_said_plainly(store):
    found = doctor(store, spaces=["brightness"], precision=1.0)
    assert found.spaces[0].threshold is None
    assert "no threshold in brightness reaches a precision of 1" in found.words()[1]
    assert "--fpr" in found.words()[2]


def test_the_picture(store, tmp_path):
    found = doctor(store)
    with Image.open(draw_diagnosis(found, tmp_path / "d.png")) as image:
        assert min(image.size) > 300 and len(np.unique(np.asarray(image.convert("L")))) > 10
    with pytest.raises(BadInput, match="is not a PNG"):
        draw_diagnosis(found, tmp_path / "d.jpg")


def test_the_command_and_the_api(store, engine, tmp_path):
    document = json.loads(engine("doctor", "--store", store.path, "--output", "d.png", "--json").stdout)
    assert (document["recommended"], document["k"], document["picture"]) == ("colour", 4, "d.png")
    assert document["spaces"]["colour"]["knn_agreement"] == 1.0
    assert document["difference"]["certain"] and document["difference"]["spaces"] == ["colour", "brightness"]
    assert len(document["words"]) == 4 and (tmp_path / "d.png").is_file()
    shown = engine("doctor", "--store", store.path, "--space", "colour", "--labels", "given").stdout
    assert shown.startswith("space\tdim\tcoverage\t4-nn") and "recommended" in shown and "Next: engine label" in shown
    failed = engine("doctor", "--store", store.path, "--labels", "given", "--truth", check=False)
    assert failed.returncode == 2 and "leave one of the two out" in failed.stderr
    found = package.open(store.path).doctor(space="colour", labels=["given"], output=tmp_path / "api.png")
    assert found.recommended == "colour" and (tmp_path / "api.png").is_file()
