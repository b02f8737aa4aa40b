"""Search on real stores: answers worked out by hand, answers checked with NumPy, and what may not be asked."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine as api
from engine.errors import AmbiguousName, BadInput, EmptySpace, NoSuchImage
from engine.ingestion.fill import fuse_spaces
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.remove import remove
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import BLUE, GREEN, OLIVE, RED, SPEC, picture, unit, write_tar

ROOT = Path(__file__).parents[2]
ORANGE = (200, 100, 0)
FILES = {
    "again/red.png": picture(RED),
    "blue.png": picture(BLUE, (300, 20), "BMP"),
    "test/green.png": picture(GREEN, (400, 8)),
    "test/olive.png": picture(OLIVE),
    "train/orange.png": picture(ORANGE),
    "train/red.png": picture(RED),
}
COLOURS = {
    "again/red.png": RED,
    "blue.png": BLUE,
    "test/green.png": GREEN,
    "test/olive.png": OLIVE,
    "train/orange.png": ORANGE,
}
LABELS = "image,label\ntrain/red.png,warm\norange.png,warm\ngreen.png,cold\nblue.png,cold\n"


def colours(path: Path) -> Path:
    """Make a store of six pictures, two of them the same image."""
    path.mkdir(exist_ok=True)
    tar = write_tar(path / "pictures.tar", FILES)
    (path / "labels.csv").write_text(LABELS)
    request = Request([str(tar)], encoders=[SPEC], labels=path / "labels.csv", split_from_folders=True, workers=1)
    intake(path / "store", request)
    return path / "store"


@pytest.fixture(scope="module")
def colour_path(tmp_path_factory) -> Path:
    return colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="module")
def store(colour_path) -> Store:
    return Store.open(colour_path)


@pytest.fixture(scope="module")
def sample(sample_store) -> Store:
    return Store.open(sample_store)


@pytest.fixture(scope="module")
def exported(sample, tmp_path_factory):
    """Return the sample's vectors and the name of each row, as `engine export` writes them."""
    path = tmp_path_factory.mktemp("exported") / "v.npy"
    api.open(sample.path).export(path)
    names = [line.split(",")[1] for line in path.with_suffix(".csv").read_text().splitlines()[1:]]
    return np.load(path).astype(np.float64), names


def names(answer) -> list[str]:
    return [hit.name for hit in answer.hits]


def ranked(*colour: tuple[int, int, int]) -> list[tuple[str, float]]:
    """Return every image with its cosine to the mean of some colours, best first."""
    mean = np.mean([unit(one) for one in colour], axis=0)
    scores = {name: float(unit(one) @ mean / np.linalg.norm(mean)) for name, one in COLOURS.items()}
    return sorted(scores.items(), key=lambda item: -item[1])


def assert_ranked(answer, expected: list[tuple[str, float]]) -> None:
    # Which of two equal scores comes first is the store's choice.
    assert [hit.score for hit in answer.hits] == pytest.approx([score for _, score in expected], abs=1e-6)
    assert {hit.name: hit.score for hit in answer.hits} == pytest.approx(dict(expected), abs=1e-6)


# --- the query ---


def test_by_stored_image(store):
    assert_ranked(search(store, Query(names=["train/red.png"])), ranked(RED))


def test_by_picture_file(store, tmp_path):
    (tmp_path / "q.bmp").write_bytes(picture((100, 150, 50), (40, 30), "BMP"))
    assert_ranked(search(store, Query(images=[tmp_path / "q.bmp"])), ranked((100, 150, 50)))


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "float16"])
def test_by_vector_of_any_length_and_kind(store, tmp_path, kind):
    np.save(tmp_path / "q.npy", np.array([3, 40, 5], kind))
    assert_ranked(search(store, Query(vectors=[tmp_path / "q.npy"])), ranked((3, 40, 5)))


def test_several_are_averaged_at_unit_length(store, tmp_path):
    (tmp_path / "q.png").write_bytes(picture((0, 0, 10)))
    np.save(tmp_path / "q.npy", np.array([[0, 900, 0], [0.5, 0.5, 0]]))
    query = Query([tmp_path / "q.png"], ["orange", "olive"], [tmp_path / "q.npy"])
    expected = ranked((0, 0, 1), ORANGE, OLIVE, (0, 1, 0), (1, 1, 0))
    assert_ranked(search(store, query), expected)


def test_opposed_parts_have_no_mean(store, tmp_path):
    np.save(tmp_path / "q.npy", np.array([[0, 1, 0], [0, -1, 0]]))
    with pytest.raises(BadInput, match="opposite"):
        search(store, Query(vectors=[tmp_path / "q.npy"]))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(4), "3 dimensions"),
        (np.ones((1, 1, 3)), "3 dimensions"),
        (np.empty((0, 3)), "3 dimensions"),
        (np.array([1, np.nan, 0]), "not finite"),
        (np.array([1, np.inf, 0]), "not finite"),
        (np.zeros(3), "zero"),
        (np.array([[1, 0, 0], [0, 0, 0]]), "zero"),
        (np.array(["a", "b", "c"]), "<U1"),
        (np.ones(3, bool), "bool"),
        (np.array([1, 2, None]), "not a .npy file"),
    ],
)
def test_arrays_that_are_no_vector(store, tmp_path, array, message):
    np.save(tmp_path / "q.npy", array)
    with pytest.raises(BadInput, match=message) as caught:
        search(store, Query(vectors=[tmp_path / "q.npy"]))
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data", [b"", b"text", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00\x76\x00{'descr'", b"\x80\x04."]
)
def test_files_that_are_no_array(store, tmp_path, data):
    (tmp_path / "q.npy").write_bytes(data)
    with pytest.raises(BadInput, match=r"not a \.npy file"):
        search(store, Query(vectors=[tmp_path / "q.npy"]))


def test_an_archive_of_arrays_is_no_vector(store, tmp_path):
    np.savez(tmp_path / "q.npz", np.ones(3))
    with pytest.raises(BadInput, match="archive"):
        search(store, Query(vectors=[tmp_path / "q.npz"]))


def test_nothing_to_search_for(store):
    with pytest.raises(BadInput, match="nothing to search for"):
        search(store, Query())
    with pytest.raises(NoSuchImage):
        search(store, Query(names=["nosuch"]))
    with pytest.raises(EmptySpace, match="nosuch"):
        search(store, Query(names=["blue"]), space="nosuch")


# --- what comes back ---


def test_the_evidence_of_an_answer(store, colour_path):
    answer = search(store, Query(names=["@5"]), k=2)
    first, second = answer.hits
    # An image that is two members goes by the name of the first.
    assert (first.name, first.ordinal, first.label) == ("again/red.png", 0, "warm")
    assert first.id == store.members.rows(["image"], "ordinal = 5")[0]["image"]
    assert first.score == pytest.approx(1, abs=1e-6)
    assert (second.name, second.ordinal, second.label) == ("train/orange.png", 4, "warm")
    assert second.score == pytest.approx(2 / math.sqrt(5), abs=1e-6)
    assert (answer.query, answer.space, answer.fingerprint) == ("@5", "colour", "c0104ec0104e")
    assert (answer.rows, answer.complete, answer.index) == (5, True, {"kind": "exact", "recall": 1.0})
    assert answer.store_version["members"] == store.members.version()
    assert set(answer.store_version) == {"members", "space_colour_c0104ec0104e"}


def test_k(store):
    assert len(search(store, Query(names=["blue"]), k=1).hits) == 1
    assert len(search(store, Query(names=["blue"]), k=100).hits) == 5
    for k in (0, -1):
        with pytest.raises(BadInput, match="at least one"):
            search(store, Query(names=["blue"]), k=k)


def test_a_threshold_is_inclusive(store):
    # The cosine of red and olive is 120 / 200, and the stored vector is float32.
    a, b = float(np.float32(0.6)), float(np.float32(0.8))
    on = float(a / np.sqrt(a * a + b * b))
    assert set(names(search(store, Query(names=["again/red.png"]), threshold=on))) == {
        "again/red.png",
        "train/orange.png",
        "test/olive.png",
    }
    above = search(store, Query(names=["again/red.png"]), threshold=float(np.nextafter(on, 1)))
    assert set(names(above)) == {"again/red.png", "train/orange.png"}


@pytest.mark.parametrize("threshold", [float("nan"), 2, -1.01, float("inf")])
def test_a_threshold_is_a_cosine(store, threshold):
    with pytest.raises(BadInput, match="threshold"):
        search(store, Query(names=["blue"]), threshold=threshold)


def test_k_cuts_a_threshold_and_says_so(store):
    query = Query(names=["olive"])
    assert not search(store, query, threshold=-1, k=4).complete
    assert search(store, query, threshold=-1, k=5).complete
    assert search(store, query, threshold=-1).complete
    assert search(store, query, k=1).complete


def test_exclude_self(store, tmp_path):
    (tmp_path / "mine.png").write_bytes(FILES["train/red.png"])
    (tmp_path / "other.png").write_bytes(picture((199, 0, 0)))
    assert "again/red.png" not in names(search(store, Query(names=["train/red.png"]), exclude_self=True))
    stored = Query(images=[tmp_path / "mine.png"], names=["blue"])
    assert names(search(store, stored, exclude_self=True, k=1)) == ["train/orange.png"]
    assert len(search(store, stored, exclude_self=True).hits) == 3
    assert len(search(store, Query(images=[tmp_path / "other.png"]), exclude_self=True).hits) == 5
    assert len(search(store, Query(images=[tmp_path / "mine.png"])).hits) == 5


# --- where ---


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("label = 'warm'", {"again/red.png", "train/orange.png"}),
        ("label IS NULL", {"test/olive.png"}),
        ("width > 100", {"blue.png", "test/green.png"}),
        ("width > 100 AND label = 'cold' AND height < 10", {"test/green.png"}),
        ("format = 'BMP'", {"blue.png"}),
        ("name LIKE 'test/%'", {"test/green.png", "test/olive.png"}),
        ("split = 'train'", {"again/red.png", "train/orange.png"}),
        ("split IS NULL", {"again/red.png", "blue.png"}),
        ("ordinal BETWEEN 1 AND 3", {"blue.png", "test/green.png", "test/olive.png"}),
        ("ordinal = 5", {"again/red.png"}),
        ("source = 'pictures.tar'", set(COLOURS)),
        ("bytes > 10000", {"blue.png"}),
        ("width = (SELECT max(width) FROM images)", {"test/green.png"}),
        ("false", set()),
        ("true -- all", set(COLOURS)),
    ],
)
def test_a_condition_is_applied_first(store, where, expected):
    answer = search(store, Query(names=["train/red.png"]), where=where)
    assert set(names(answer)) == expected
    if expected:
        farthest = search(store, Query(names=["train/red.png"]), where=where, k=len(expected))
        assert set(names(farthest)) == expected


def test_a_condition_with_exclude_self_and_threshold(store):
    query = Query(names=["train/red.png"])
    assert names(search(store, query, where="label = 'warm'", exclude_self=True)) == ["train/orange.png"]
    assert names(search(store, query, where="label = 'cold'", threshold=0.5)) == []


@pytest.mark.parametrize(
    "where",
    [
        "EXISTS (SELECT * FROM read_csv('/etc/passwd'))",
        "EXISTS (SELECT * FROM '/etc/passwd')",
        "EXISTS (FROM glob('/etc/*'))",
        "EXISTS (SELECT * FROM read_text('/etc/passwd'))",
        "true); COPY images TO 'stolen.csv'; SELECT (true",
        "true); ATTACH 'other.db'; SELECT (true",
        "true; SELECT 1",
        "true) OR (true",
        "true LIMIT 1",
        "true, false",
        "nosuch = 1",
        "label = ",
        "'abc'",
        "",
        "*",
        "count(*) > 1",
        "EXISTS (SELECT * FROM store)",
    ],
)
def test_what_is_no_condition_gets_one_line_with_the_columns(store, where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as caught:
        search(store, Query(names=["blue"]), where=where)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy.startswith("columns are id, name, ordinal, split, source, width")
    assert list(tmp_path.iterdir()) == []


# --- against NumPy, on photos ---


def test_every_photo_finds_what_numpy_finds(sample, exported):
    X, members = exported
    for row in range(0, len(X), 17):
        scores = X @ X[row]
        order = np.argsort(-scores, kind="stable")[:10]
        answer = search(sample, Query(names=[members[row]]))
        assert names(answer) == [members[place] for place in order]
        assert [hit.score for hit in answer.hits] == pytest.approx(scores[order].tolist(), abs=1e-7)
        assert answer.hits[0].name == members[row]


@pytest.mark.parametrize("place", [1, 7, 40, 339])
def test_a_threshold_is_complete(sample, exported, place):
    X, members = exported
    ranking = search(sample, Query(names=[members[5]]), k=340).hits
    answer = search(sample, Query(names=[members[5]]), threshold=ranking[place].score)
    assert answer.hits == ranking[: place + 1]
    expected = X @ X[5] >= ranking[place].score - 1e-7
    assert set(names(answer)) == {members[row] for row in np.flatnonzero(expected)}


def test_most_neighbours_of_a_photo_have_its_label(sample):
    answer = search(sample, Query(names=["images/3.jpeg"]), k=11, exclude_self=True)
    assert sum(hit.label == "sunflower" for hit in answer.hits) >= 9


def test_a_stored_photo_given_as_a_file_is_found_first(sample, tmp_path, sample_tar):
    import tarfile

    with tarfile.open(sample_tar) as tar:
        data = tar.extractfile("images/7.jpeg").read()
    (tmp_path / "q.jpeg").write_bytes(data)
    best = search(sample, Query(images=[tmp_path / "q.jpeg"]), k=1).hits[0]
    assert best.name == "images/7.jpeg"
    # The store was made at fp32, so the query is too, whatever this machine runs best.
    assert best.score > 0.9999


# --- likes and unlikes ---


def wanted_less(likes, unlikes) -> list[tuple[str, float]]:
    """Return every image with its cosine to mean(likes) + (mean(likes) − mean(unlikes))."""
    like = np.mean([unit(one) for one in likes], axis=0)
    point = like + (like - np.mean([unit(one) for one in unlikes], axis=0))
    scores = {name: float(unit(one) @ point / np.linalg.norm(point)) for name, one in COLOURS.items()}
    return sorted(scores.items(), key=lambda item: -item[1])


def without(ranking, *left_out) -> list[tuple[str, float]]:
    return [(name, score) for name, score in ranking if name not in left_out]


def test_likes_are_averaged_and_are_no_answer(store):
    found = search(store, Query(like=["orange", "olive"]))
    assert_ranked(found, without(ranked(ORANGE, OLIVE), "train/orange.png", "test/olive.png"))
    assert found.query == "orange, olive"


def test_unlikes_push_away_and_are_no_answer(store):
    found = search(store, Query(like=["orange", "olive"], unlike=["green", "blue"]))
    expected = wanted_less([ORANGE, OLIVE], [GREEN, BLUE])
    assert_ranked(found, without(expected, "train/orange.png", "test/olive.png", "test/green.png", "blue.png"))
    assert found.query == "orange, olive, not green, not blue"


def test_an_unlike_goes_with_any_part(store, tmp_path):
    np.save(tmp_path / "q.npy", np.array([1.0, 0.0, 1.0]))
    query = Query(names=["olive"], vectors=[tmp_path / "q.npy"], unlike=["green"])
    assert_ranked(search(store, query), without(wanted_less([OLIVE, (1, 0, 1)], [GREEN]), "test/green.png"))
    left = search(store, query, exclude_self=True)
    assert_ranked(left, without(wanted_less([OLIVE, (1, 0, 1)], [GREEN]), "test/green.png", "test/olive.png"))


def test_an_example_may_be_a_picture_file(store, tmp_path):
    (tmp_path / "new.png").write_bytes(picture((0, 90, 90)))
    (tmp_path / "mine.png").write_bytes(FILES["train/red.png"])
    query = Query(like=[tmp_path / "new.png", str(tmp_path / "mine.png")], unlike=["blue"])
    expected = wanted_less([(0, 90, 90), RED], [BLUE])
    # A file whose image is stored is left out as that.
    assert_ranked(search(store, query), without(expected, "again/red.png", "blue.png"))


def test_what_is_a_file_and_another_stored_image_is_ambiguous(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("blue.png").write_bytes(picture(GREEN))
    with pytest.raises(AmbiguousName, match=r"blue\.png and another image that is stored, id:[0-9a-f]{16}") as caught:
        search(store, Query(like=["blue.png"]))
    for spelled, expected in zip(("./blue.png", "id:"), (GREEN, BLUE), strict=True):
        (name,) = [word for word in caught.value.remedy.split() if word.startswith(spelled)]
        best = search(store, Query(names=[name] if name.startswith("id:") else (), like=[name]), k=5)
        assert unit(expected) @ unit(COLOURS[best.hits[0].name]) == pytest.approx(best.hits[0].score, abs=1e-6)
    Path("blue.png").write_bytes(FILES["blue.png"])
    assert "blue.png" not in names(search(store, Query(like=["blue.png"])))


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (Query(unlike=["blue"]), BadInput, "nothing to search for; --unlike says only"),
        (Query(like=["nosuch"]), NoSuchImage, "nor is it a picture file"),
        (Query(like=["blue"], unlike=["nosuch"]), NoSuchImage, "nor is it a picture file"),
        (Query(like=["red"], unlike=["pictures.tar"]), NoSuchImage, "pictures.tar"),
    ],
)
def test_examples_that_are_none(store, query, error, message):
    with pytest.raises(error, match=message) as caught:
        search(store, query)
    assert caught.value.remedy


# --- several spaces ---


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("two")
    tar = write_tar(folder / "pictures.tar", FILES)
    intake(folder / "store", Request([str(tar)], encoders=[SPEC, BRIGHTNESS], workers=1))
    return Store.open(folder / "store")


def by_name(store: Store, space: str) -> dict[str, np.ndarray]:
    vectors = store.vectors(store.space(space))
    rows = {row["image"]: row["name"] for row in store.members.rows(["image", "name"]) if row["name"] in COLOURS}
    return {rows[one.tobytes()]: vectors.matrix[place] for place, one in enumerate(vectors.ids)}


def effective(store: Store, **weights: float) -> dict[str, float]:
    """Return the weights divided by the standard deviation of the cosines of all pairs, at a sum of 1."""
    raw = {}
    for space, weight in weights.items():
        pairs = combinations(by_name(store, space).values(), 2)
        raw[space] = weight / np.std([one.astype(np.float64) @ other for one, other in pairs])
    return {space: weight / sum(raw.values()) for space, weight in raw.items()}


@pytest.mark.parametrize(
    ("named", "weights"),
    [
        ("colour=0.7,brightness=0.3", {"colour": 0.7, "brightness": 0.3}),
        ("brightness=3, colour=7", {"colour": 0.7, "brightness": 0.3}),
        ("brightness,colour", {"colour": 1, "brightness": 1}),
    ],
)
def test_scores_of_several_spaces_are_weighted_sums_on_one_scale(two, named, weights, tmp_path):
    used, vectors = effective(two, **weights), {space: by_name(two, space) for space in weights}
    expected = {
        name: sum(used[space] * float(vectors[space][name] @ vectors[space]["blue.png"]) for space in used)
        for name in COLOURS
    }
    (tmp_path / "q.bmp").write_bytes(FILES["blue.png"])
    for query in (Query(names=["blue.png"]), Query(images=[tmp_path / "q.bmp"])):
        answer = search(two, query, space=named)
        assert {hit.name: hit.score for hit in answer.hits} == pytest.approx(expected, abs=3e-6)
    said = {name: float(weight) for weight, name in (part.split() for part in answer.space.split(" + "))}
    assert said == pytest.approx(used, abs=2e-6)
    assert len(answer.fingerprint) == 12
    assert set(answer.store_version) == {"members", "space_colour_c0104ec0104e", "space_brightness_b416b416b416"}
    on = answer.hits[2].score
    assert search(two, Query(names=["blue.png"]), space=named, threshold=on).hits == [
        hit for hit in answer.hits if hit.score >= on
    ]


def test_rates_of_several_spaces_are_of_their_sum(two):
    answer = search(two, Query(names=["blue.png"]), space="colour,brightness")
    used, vectors = effective(two, colour=1, brightness=1), {s: by_name(two, s) for s in ("colour", "brightness")}
    pairs = [
        sum(used[space] * float(vectors[space][one] @ vectors[space][other]) for space in used)
        for one, other in combinations(COLOURS, 2)
    ]
    for hit in answer.hits[1:]:
        # Its own pair is one of the ten.
        counts = [np.count_nonzero(np.array(pairs) >= hit.score + shift) for shift in (-1e-5, 1e-5)]
        assert counts[1] < counts[0]
        assert (counts[1] + 1) / 11 <= hit.fpr <= (counts[0] + 1) / 11


def test_the_weights_said_are_a_recipe_that_gives_the_same(two):
    answer = search(two, Query(names=["blue.png"]), space="colour=0.7,brightness=0.3")
    parts = [f"{name}={weight}" for weight, name in (part.split() for part in answer.space.split(" + "))]
    fuse_spaces(two.path, parts, space="kept", stored=False)
    again = search(two, Query(names=["blue.png"]), space="kept")
    assert (again.hits, again.fingerprint) == (answer.hits, answer.fingerprint)
    with pytest.raises(BadInput, match="itself fused"):
        search(two, Query(names=["blue.png"]), space="colour,kept")


def test_weights_are_shares_however_large_they_are(two):
    spaces = [search(two, Query(names=["blue.png"]), space=one) for one in (
        "colour=1e308,brightness=1e308", "colour=5e-324,brightness=5e-324", "colour,brightness")]  # fmt: skip
    assert spaces[0].space == spaces[1].space == spaces[2].space


@pytest.mark.parametrize(
    ("named", "error", "message"),
    [
        ("colour=1e308,brightness=1e-308", BadInput, "0.000001"),
        ("colour,nosuch", EmptySpace, "nosuch"),
        ("colour=1,colour=2", BadInput, "each space once"),
        ("colour,,brightness", BadInput, "each space once"),
        ("=1,colour=1", BadInput, "each space once"),
        ("colour=1", BadInput, "two or more"),
        ("colour=1,brightness", BadInput, "for each or for none"),
        ("colour=0,brightness=1", BadInput, "not positive"),
        ("colour=-1,brightness=1", BadInput, "not positive"),
        ("colour=nan,brightness=1", BadInput, "not positive"),
        ("colour=inf,brightness=1", BadInput, "not positive"),
        ("colour=,brightness=1", BadInput, "no number"),
        ("colour=much,brightness=1", BadInput, "no number"),
        ("colour=1e-9,brightness=1", BadInput, "0.000001"),
    ],
)
def test_several_spaces_that_cannot_be(two, named, error, message):
    with pytest.raises(error, match=message) as caught:
        search(two, Query(names=["blue.png"]), space=named)
    assert caught.value.remedy


# --- what is held in memory ---


def test_arrays_and_pictures_in_memory(store, colour_path):
    collection = api.open(colour_path)
    expected = ranked((100, 150, 50))
    array = np.full((20, 30, 3), (100, 150, 50), np.uint8)
    for image in (array, [array], Image.fromarray(array), Image.fromarray(array).convert("RGBA")):
        assert_ranked(collection.search(image=image), expected)
    assert_ranked(collection.search(vector=np.array([100, 150, 50])), expected)
    assert_ranked(collection.search(vector=[np.array([[3, 40, 5], [1, 0, 0]]), np.ones(3)]),
                  ranked((3, 40, 5), (1, 0, 0), (1, 1, 1)))  # fmt: skip
    examples = collection.search(like=[array, "blue"], unlike=Image.new("RGB", (9, 9), GREEN))
    assert_ranked(examples, without(wanted_less([(100, 150, 50), BLUE], [GREEN]), "blue.png"))
    assert examples.query == "array (20, 30, 3), blue, not picture 9 × 9"


def test_a_stored_image_goes_by_its_id(store, colour_path):
    collection = api.open(colour_path)
    hit = collection.search(id="blue.png", k=1).hits[0]
    by_name, two = collection.search(id="blue.png"), collection.search(id=["blue.png", "test/green.png"])
    assert collection.search(id=hit.id).hits == by_name.hits
    assert collection.search(id=[hit.id]).hits == by_name.hits
    assert collection.search(id=Path("blue.png")).hits == by_name.hits
    assert collection.search(id=[hit.id, Path("test/green.png")]).hits == two.hits
    rows = np.stack([np.frombuffer(one.id, np.uint8) for one in by_name.hits[:2]])
    assert collection.search(id=rows).hits == collection.search(id=[one.id for one in by_name.hits[:2]]).hits
    assert collection.search(like=hit.id).hits == collection.search(like="blue.png").hits
    (many,) = collection.search_many(ids=[hit.id])
    assert many.hits == by_name.hits
    for wrong in (7, None, b"blue.png", [3.5]):
        with pytest.raises(BadInput, match="names no image"):
            collection.search(id=wrong)


def test_what_python_shows_of_an_answer_is_short(colour_path):
    collection = api.open(colour_path)
    answer = collection.search(id="blue.png", k=2)
    assert repr(collection) == f"Collection({str(colour_path)!r})"
    assert repr(answer.hits[0]) == f"Hit('blue.png', score=1.0000, label='cold', id={answer.hits[0].id.hex()[:12]}…)"
    shown = f"Answer('blue.png' in space colour, exact: 2 hits, the first {answer.hits[0]!r})"
    assert repr(answer) == shown


def test_the_collection_lists_and_removes(colour_path, tmp_path):
    collection = api.open(shutil.copytree(colour_path, tmp_path / "store"))
    assert [one["name"] for one in collection.members()] == sorted(FILES)
    assert [one["space"] for one in collection.spaces()] == ["colour"]
    assert collection.remove(collection.search(id="blue.png", k=1).hits[0].id).images == 1
    assert [one["name"] for one in collection.members(removed=True)] == ["blue.png"]
    assert collection.runs()[-1]["command"] == "remove"
    with pytest.raises(NoSuchImage, match="removed") as caught:
        collection.search(id="blue.png")
    assert caught.value.remedy == f"bring it back: engine ingest --restore {colour_path.parent / 'pictures.tar'}"


def test_a_condition_on_labels_that_are_truth_says_so(tmp_path):
    tar = write_tar(tmp_path / "pictures.tar", FILES)
    (tmp_path / "labels.csv").write_text(LABELS)
    asked = Request([str(tar)], encoders=[SPEC], labels=tmp_path / "labels.csv", labels_role="truth", workers=1)
    intake(tmp_path / "store", asked)
    found = api.open(tmp_path / "store").search(id="blue.png", where="label = 'warm'")
    assert (found.hits, len(found.notes)) == ([], 1)
    assert "truth" in found.notes[0]
    assert api.open(tmp_path / "store").search(id="blue.png", where="width > 10000").notes == ()


def test_transparency_is_white_in_memory_as_on_disk(store):
    clear = np.zeros((8, 8, 4), np.uint8)
    assert_ranked(search(store, Query(images=[clear])), ranked((255, 255, 255)))
    grey = search(store, Query(images=[np.full((8, 8), 77, np.uint8)]))
    assert_ranked(grey, ranked((77, 77, 77)))


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Query(images=[np.zeros((8, 8, 3))]), r"float64 \(8, 8, 3\) is no picture"),
        (Query(images=[np.zeros((8, 8, 2), np.uint8)]), r"\(8, 8, 2\) is no picture"),
        (Query(images=[np.zeros(8, np.uint8)]), "is no picture"),
        (Query(images=[np.zeros((0, 8, 3), np.uint8)]), "is no picture"),
        (Query(vectors=[np.ones(4)]), "3 dimensions"),
        (Query(vectors=[np.zeros(3)]), "zero"),
    ],
)
def test_arrays_that_are_nothing_to_search_for(store, query, message):
    with pytest.raises(BadInput, match=message) as caught:
        search(store, query)
    assert caught.value.remedy


def test_the_command_takes_examples_and_several_spaces(two, engine, tmp_path):
    (tmp_path / "q.png").write_bytes(picture((0, 90, 90)))
    asked = ["search", "--like", "q.png", "--like", "olive", "--unlike", "blue", "--space", "colour=2,brightness=1"]
    printed = json.loads(engine(*asked, "--grid", "g.png", "--json", "--store", two.path).stdout)
    answer = api.open(two.path).search(like=[tmp_path / "q.png", "olive"], unlike="blue", space="colour=2,brightness=1")
    assert [(hit["name"], hit["score"]) for hit in printed["hits"]] == [(hit.name, hit.score) for hit in answer.hits]
    assert printed["space"] == answer.space
    assert "blue.png" not in names(answer)
    assert (tmp_path / "g.png").stat().st_size > 1000
    assert f"in space {answer.space} (" in engine(*asked, "--store", two.path).stderr


# --- what changes ---


def test_rows_appended_since_are_found_at_once_and_removed_ones_are_gone(tmp_path):
    store = Store.open(colours(tmp_path / "c"))
    assert len(search(store, Query(names=["blue"])).hits) == 5
    more = write_tar(tmp_path / "more.tar", {"navy.png": picture((0, 10, 100))})
    intake(store.path, Request([str(more)], encoders=[SPEC], workers=1))
    answer = search(store, Query(names=["blue"]), k=2)
    assert names(answer) == ["blue.png", "navy.png"]
    assert answer.hits[1].score == pytest.approx(float(unit((0, 10, 100)) @ unit(BLUE)), abs=1e-6)
    remove(store, ["navy"])
    assert "navy.png" not in names(search(store, Query(names=["blue"])))
    with pytest.raises(NoSuchImage, match="removed"):
        search(store, Query(names=["navy"]))


def test_nothing_of_a_removed_image_stays_on_the_disk(tmp_path, sample_store):
    shutil.copytree(sample_store, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    gone = search(store, Query(names=["images/3.jpeg"]), k=1).hits[0].id
    space = store.space()
    vector = store.vectors_table(space).read(["vector"], f"id = X'{gone.hex()}'")["vector"][0].values.to_numpy()
    thumbnail = store.thumbnails.rows(["thumbnail"], f"id = X'{gone.hex()}'")[0]["thumbnail"]
    secrets = (vector.tobytes()[:64], thumbnail[len(thumbnail) // 2 :][:64], thumbnail[-64:])
    assert all(holding(tmp_path, secret) for secret in secrets)
    remove(store, ["images/3.jpeg"])
    # The cache is made again by a search.
    assert gone not in {hit.id for hit in search(store, Query(names=["images/7.jpeg"]), k=400).hits}
    for secret in secrets:
        assert holding(tmp_path, secret) == []
    for table in (store.images, store.thumbnails, store.vectors_table(space)):
        assert (table.count(), table.count(f"id = X'{gone.hex()}'")) == (339, 0)
    assert store.labels.count(f"id = X'{gone.hex()}'") == 0


def holding(folder: Path, secret: bytes) -> list[Path]:
    """Return the files under `folder` that hold some bytes."""
    return [path for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


# --- the same from everywhere ---


def test_python_and_the_command_line_say_the_same(colour_path, engine, tmp_path):
    (tmp_path / "q.png").write_bytes(picture((100, 150, 50)))
    np.save(tmp_path / "q.npy", np.array([1, 2, 3]))
    answer = api.open(colour_path).search(
        image=tmp_path / "q.png", id=["orange"], vector=str(tmp_path / "q.npy"), k=3, where="width < 350"
    )
    printed = json.loads(
        engine(
            "search", "--image", "q.png", "--id", "orange", "--vector", "q.npy", "-k", 3, "--where", "width < 350",
            "--json", "--store", colour_path,
        ).stdout
    )  # fmt: skip
    assert [(one["id"], one["name"], one["ordinal"], one["score"], one["label"]) for one in printed["hits"]] == [
        (hit.id.hex(), hit.name, hit.ordinal, hit.score, hit.label) for hit in answer.hits
    ]
    assert (printed["space"], printed["fingerprint"]) == (answer.space, answer.fingerprint)
    assert (printed["store_version"], printed["index"]) == (answer.store_version, answer.index)


@pytest.mark.parametrize("asked", [["--id", "images/3.jpeg"], ["--id", "images/3.jpeg", "--threshold", "0.5"]])
def test_a_search_by_name_loads_no_heavy_library(sample_store, tmp_path, asked):
    code = """
import sys
from engine.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"torch", "lancedb", "openvino", "timm", "torchvision", "sklearn", "pandas"} & sys.modules.keys()
    print(sorted(heavy), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "search", *asked, "--store", str(sample_store), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "[]"
    assert json.loads(done.stdout)["hits"][0]["name"] == "images/3.jpeg"
