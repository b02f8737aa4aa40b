"""Data sets as suites see them, near duplicates, and rankings, on colours whose cosines can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.bench import bench
from benchmarks.datasets import Unavailable, dataset
from benchmarks.job import Job, Settings
from benchmarks.lines.results import Row
from benchmarks.subjects import leakage
from benchmarks.subjects.leakage import leaks
from benchmarks.subjects.pixels import PIXELS, thumbnails
from benchmarks.subjects.spaces import view
from benchmarks.subjects.subject import Subject, subject
from benchmarks.subjects.survey import look, subjects
from benchmarks.subjects.views import How
from benchmarks.suites.retrieval import SUITE, _chance, database, rankings
from engine.errors import EmptySpace
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.progress import Silent
from engine.store import Store
from tests.engine.colour import BLUE, GREEN, RED, SPEC, picture

# cos(RED, NEAR) = 180/√(180² + 20²) = 0.994, cos(RED, ORANGE) = 0.832, cos(NEAR, ORANGE) = 0.889.
NEAR, ORANGE, CYAN = (180, 20, 0), (150, 100, 0), (0, 150, 150)
FILES = {
    "train/warm/red.png": RED, "train/warm/orange.png": ORANGE, "train/cold/blue.png": BLUE,
    "train/cold/green.png": GREEN, "test/warm/red.png": RED, "test/warm/near.png": NEAR, "test/cold/cyan.png": CYAN,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Return a labelled store with splits; the red picture is in both."""
    folder = tmp_path_factory.mktemp("colours")
    for name, colour in FILES.items():
        (folder / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / name).write_bytes(picture(colour))
    request = Request(
        [str(folder / "pictures")],
        encoders=[SPEC],
        labels_from_folders=True,
        split_from_folders=True,
        workers=1,
        autoencoder=False,
    )
    intake(folder / "store", request)
    return folder / "store"


@pytest.fixture
def settings(path, tmp_path) -> Settings:
    return Settings(tmp_path / SUITE, data=path, seeds=1)


@pytest.fixture
def colours(settings) -> Subject:
    (found,) = subjects(SUITE, settings, Silent())
    assert isinstance(found, Subject)
    return found


def named(one: Subject) -> list[str]:
    """Return the file name of each row of a subject."""
    members = {row["image"]: row["name"] for row in one.store.members.rows(["image", "name"])}
    return [Path(members[image.tobytes()]).stem for image in one.ids]


def test_a_subject_is_images_classes_and_splits(colours):
    names = named(colours)
    assert sorted(names) == ["blue", "cyan", "green", "near", "orange", "red"]
    assert [bytes(one) for one in colours.ids] == sorted(bytes(one) for one in colours.ids)
    assert list(colours.classes) == ["cold", "warm"]
    assert {name: colours.classes[code] for name, code in zip(names, colours.codes, strict=True)}["near"] == "warm"
    assert {names[row] for row in colours.judged} == {"red", "near", "cyan"} and colours.split == "test"
    assert {names[row] for row in np.flatnonzero(colours.train)} == {"red", "orange", "blue", "green"}


def test_classes_can_be_left_out_or_kept(colours, path):
    from dataclasses import replace

    store = Store.open(path)
    with pytest.raises(Unavailable, match="1 classes"):
        subject(replace(colours.found, left_out=("warm",)), store)
    with pytest.raises(Unavailable, match="1 classes"):
        subject(replace(colours.found, kept=("warm",)), store)


def test_near_duplicates_of_training_images_are_found(colours, monkeypatch):
    assert leaks(colours, Silent()) is None, "the network has no vectors here"
    monkeypatch.setattr(leakage, "NETWORK", "colour")
    found = leaks(colours, Silent())
    monkeypatch.setattr(leakage, "near_duplicates", lambda *compared: pytest.fail("compared again"))
    np.testing.assert_array_equal(leaks(colours, Silent()).leaked, found.leaked, "found once, then kept")
    names = np.array(named(colours))[colours.judged]
    assert set(names[found.leaked]) == {"red", "near"}
    assert (found.facts()["images"], found.facts()["near_duplicates"], found.facts()["identical"]) == (3, 2, 1)


def test_pictures_that_agree_less_count_if_their_pixels_do(tmp_path, monkeypatch):
    """Two halves of two colours: cosines are those of the mean colours, pixels agree or are turned around."""
    left, right = np.array((200, 60, 60)), np.array((80, 60, 200))

    def picture_of(first, second, lighter=0):
        half = np.zeros((32, 32, 3), np.uint8)
        half[:, :16], half[:, 16:] = first, second
        return Image.fromarray(half + np.uint8(lighter))

    pictures = {
        "train/a/one.png": picture_of(left, right),
        # As much of each colour, a little lighter: the same picture in another tone.
        "test/a/toned.png": picture_of(left, right, lighter=40),
        "test/a/turned.png": picture_of(right, left, lighter=40),
        "train/b/blue.png": picture_of((0, 0, 250), (0, 0, 240)),
        "test/b/green.png": picture_of((0, 250, 0), (0, 240, 0)),
    }
    for name, image in pictures.items():
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "pictures" / name)
    folders = {"labels_from_folders": True, "split_from_folders": True}
    intake(
        tmp_path / "store",
        Request([str(tmp_path / "pictures")], encoders=[SPEC], workers=1, autoencoder=False, **folders),
    )
    found = dataset("store").find(Settings(tmp_path / "x", data=tmp_path / "store").place())
    one = subject(found, Store.open(tmp_path / "store"))
    monkeypatch.setattr(leakage, "NETWORK", "colour")
    monkeypatch.setattr(leakage, "THRESHOLD", 0.9999)
    seen = view(one, "colour", How(Silent()))
    names = named(one)
    cosine = seen.take(np.array([names.index("toned")])) @ seen.take(np.array([names.index("one")])).T
    assert leakage.NEAR < cosine[0, 0] < 0.9999
    marked = leaks(one, Silent())
    assert {names[row] for row in one.judged[marked.leaked]} == {"toned"}


def test_rankings_are_those_worked_out_by_hand(colours):
    seen = view(colours, "colour", How(Silent()))
    names = named(colours)
    rows = database(seen)
    assert {names[row] for row in rows} == {"orange", "blue", "green"}
    queries = np.array([names.index("near"), names.index("cyan")])
    relevant, first = rankings(seen, queries, rows)
    # near: orange 0.889, then green 20/181 = 0.110, then blue 0.
    assert [names[rows[place]] for place in first[0]] == ["orange", "green", "blue"]
    assert relevant.tolist()[0] == [True, False, False]
    # cyan: blue and green tie at 0.707, orange has 0.392.
    assert relevant.tolist()[1] == [True, True, False]


def test_a_query_among_the_rows_is_left_out_of_its_ranking(colours):
    seen = view(colours, "colour", How(Silent()))
    every = np.arange(len(colours.ids))
    relevant, first = rankings(seen, every, every)
    assert relevant.shape == (6, 5)
    assert all(place not in first[place] for place in every)


def run(settings: Settings) -> list[Row]:
    return list(bench(SUITE, settings, Silent()))


def test_the_suite_gives_a_row_a_space_with_chance_and_pictures(settings, monkeypatch):
    monkeypatch.setattr(leakage, "NETWORK", "colour")
    rows = run(settings)
    assert [(one["space"], one["available"]) for one in rows] == [(PIXELS, True), ("colour", True)]
    found = rows[1]
    # Three queries, three rows: red has orange first, near too, cyan has two of its class first.
    assert found["metrics"]["map"] == pytest.approx(1.0)
    assert found["metrics"]["p_at_1"] == 1.0 and found["metrics"]["r_at_100"] == 1.0
    assert found["metrics"]["classes"]["warm"]["queries"] == 2
    # One of three rows is relevant to each warm query, two to the cold one.
    assert found["chance"]["p_at_1"] == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 3)
    assert found["leakage"]["near_duplicates"] == 2 and found["leakage"]["queries"] == 1
    # That of the space with the digest of the user's vectors.
    assert found["fingerprint"] not in ("c0104ec0104e", rows[0]["fingerprint"])
    assert found["store_version"]["images"] >= 1
    with Image.open(settings.output / found["picture"]) as image:
        assert image.width > 1000
    assert "queries-store-store-colour" in (settings.output / "report.html").read_text()
    assert json.loads(json.dumps(found)) == found


def test_chance_counts_what_a_query_can_find():
    """A query among 30 rows has 29 candidates, one from elsewhere 30; of all orders of 2 rows half are right first."""
    chance = _chance(np.array([14, 15]), np.array([29, 30]))
    assert chance["p_at_1"] == chance["p_at_10"] == pytest.approx((14 / 29 + 15 / 30) / 2)
    assert chance["r_at_100"] == 1.0
    # One relevant of two: at rank 1 or 2, (1 + 1/2) / 2; of three, (1 + 1/2 + 1/3) / 3.
    assert _chance(np.array([1, 1]), np.array([2, 3]))["map"] == pytest.approx((3 / 4 + 11 / 18) / 2)
    assert _chance(np.array([1, 1]), np.array([200, 400]))["r_at_100"] == pytest.approx(3 / 8)


def test_the_picture_of_a_small_run_is_beside_that_of_the_whole_one(settings):
    from dataclasses import replace

    pictures = [one["picture"] for asked in (settings, replace(settings, quick=True)) for one in run(asked)]
    whole = [name for name in pictures if not name.endswith("-quick.png")]
    assert len(whole) == len(pictures) / 2
    assert {name.replace("-quick", "") for name in pictures} == set(whole)
    assert {path.name for path in settings.output.glob("queries-*.png")} == set(pictures)


def test_a_second_run_measures_nothing_and_a_fresh_one_the_same(settings):
    first = run(settings)
    again = run(settings)
    assert again == first
    fresh = list(
        bench(SUITE, Settings(settings.output.parent / "fresh" / SUITE, data=settings.data, seeds=1), Silent())
    )
    for one, other in zip(first, fresh, strict=True):
        assert one["key"] == other["key"]
        assert other["metrics"]["map"] == pytest.approx(one["metrics"]["map"], abs=1e-3)


def test_a_space_that_is_not_there_is_a_row(colours, settings):
    found = look(SUITE, colours, "clip", How(Silent()))
    assert isinstance(found, Job)
    (row,) = found.run()
    assert row["available"] is False and "no space 'clip'" in row["note"]


def test_pictures_are_shrunk_in_the_order_that_was_asked_for(colours):
    pixels = thumbnails(colours.store, colours.ids, side=4).reshape(6, 16, 3)
    expected = [FILES[next(name for name in FILES if Path(name).stem == one)] for one in named(colours)]
    np.testing.assert_allclose(pixels.mean(axis=1), expected)


def test_a_store_is_found_by_its_path_alone(path, tmp_path):
    with pytest.raises(Unavailable, match="is no store"):
        dataset("store").find(Settings(tmp_path / "x", data=tmp_path).place())
    assert dataset("store").find(Settings(tmp_path / "x", data=path).place()).store == path
    with pytest.raises(EmptySpace):
        Store.open(path).space("none")
