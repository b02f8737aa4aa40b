"""Fused spaces against Σ w·cos worked out by hand, virtual and stored alike."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from engine import fused
from engine.errors import BadInput, EmptySpace, FingerprintMismatch
from engine.ingestion.fill import fuse_spaces
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.remove import remove
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Space, Store
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import SPEC as COLOUR
from tests.engine.colour import picture, unit, write_tar

# Colour, and the quarter of the brightness scale that all its pixels fall into.
PICTURES = {
    "red.png": ((120, 0, 0), 0),
    "rose.png": ((250, 120, 120), 2),
    "green.png": ((0, 120, 0), 0),
    "mint.png": ((150, 250, 150), 2),
    "white.png": ((250, 250, 250), 3),
    "grey.png": ((100, 100, 100), 1),
}
WEIGHTS = {"colour": 0.7, "brightness": 0.3}


def colour_cosine(one: str, other: str) -> float:
    return float(unit(PICTURES[one][0]) @ unit(PICTURES[other][0]))


def brightness_cosine(one: str, other: str) -> float:
    return float(PICTURES[one][1] == PICTURES[other][1])


def by_hand(one: str, weights: dict[str, float]) -> dict[str, float]:
    return {
        other: weights["colour"] * colour_cosine(one, other) + weights["brightness"] * brightness_cosine(one, other)
        for other in PICTURES
    }


def ingest(folder: Path, pictures: dict[str, tuple], name: str, encoders: list[str]) -> Path:
    tar = write_tar(folder / f"{name}.tar", {key: picture(colour) for key, (colour, _) in pictures.items()})
    intake(folder / "store", Request([str(tar)], encoders=encoders, workers=1))
    return folder / "store"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a store with both spaces, fused by given weights (virtual and stored) and by default ones."""
    path = ingest(tmp_path_factory.mktemp("fused"), PICTURES, "all", [COLOUR, BRIGHTNESS])
    given = [f"{name}={weight}" for name, weight in WEIGHTS.items()]
    fuse_spaces(path, given, space="virtual", stored=False)
    fuse_spaces(path, given, space="stored", stored=True)
    fuse_spaces(path, ["colour", "brightness"], space="balanced", stored=False)
    return path


@pytest.fixture
def small(tmp_path) -> Path:
    """Return a store of one's own with two images."""
    return ingest(tmp_path, {name: PICTURES[name] for name in ("red.png", "white.png")}, "two", [COLOUR, BRIGHTNESS])


def scores(path: Path, query: Query, space: str, **options) -> dict[str, float]:
    return {hit.name: hit.score for hit in search(Store.open(path), query, space=space, **options).hits}


@pytest.mark.parametrize("space", ["virtual", "stored"])
@pytest.mark.parametrize("name", PICTURES)
def test_scores_are_weighted_sums(made, space, name):
    assert scores(made, Query(names=[name]), space) == pytest.approx(by_hand(name, WEIGHTS), abs=1e-6)


@pytest.mark.parametrize("space", ["virtual", "stored"])
def test_by_picture(made, space, tmp_path):
    (tmp_path / "q.png").write_bytes(picture(PICTURES["mint.png"][0]))
    found = scores(made, Query(images=[tmp_path / "q.png"]), space)
    assert found == pytest.approx(by_hand("mint.png", WEIGHTS), abs=1e-6)


@pytest.mark.parametrize("space", ["virtual", "stored"])
def test_by_vector_threshold_and_condition(made, space, tmp_path):
    parts = [np.sqrt(0.3) * np.eye(4)[0], np.sqrt(0.7) * unit(PICTURES["red.png"][0])]
    np.save(tmp_path / "q.npy", np.concatenate(parts))
    query, expected = Query(vectors=[tmp_path / "q.npy"]), by_hand("red.png", WEIGHTS)
    assert scores(made, query, space) == pytest.approx(expected, abs=1e-6)
    above = {name: score for name, score in expected.items() if score >= 0.39}
    assert scores(made, query, space, threshold=0.39) == pytest.approx(above, abs=1e-6)
    assert set(scores(made, query, space, where="name = 'green.png'", k=1)) == {"green.png"}


def test_default_weights_are_the_inverse_spread_of_the_background(made):
    recipe = Store.open(made).space("balanced").recipe["weights"]
    pairs = list(combinations(PICTURES, 2))
    spread = {
        name: np.std([cosine(one, other) for one, other in pairs])
        for name, cosine in (("colour", colour_cosine), ("brightness", brightness_cosine))
    }
    total = sum(1 / width for width in spread.values())
    assert recipe == pytest.approx({name: 1 / width / total for name, width in spread.items()}, abs=2e-6)
    assert sum(recipe.values()) == pytest.approx(1, abs=2e-6)


def test_a_space_without_spread_cannot_be_weighed(small):
    with pytest.raises(BadInput, match="no spread"):
        fuse_spaces(small, ["colour", "brightness"], space="fused", stored=False)


@pytest.mark.parametrize(
    ("parts", "space", "error", "message"),
    [
        (["colour"], "f", BadInput, "at least two"),
        (["colour", "colour"], "f", BadInput, "at least two"),
        ([], "f", BadInput, "at least two"),
        (["colour=0.5", "brightness"], "f", BadInput, "every component"),
        (["colour=0", "brightness=1"], "f", BadInput, "positive"),
        (["colour=-1", "brightness=1"], "f", BadInput, "positive"),
        (["colour=nan", "brightness=1"], "f", BadInput, "positive"),
        (["colour=inf", "brightness=1"], "f", BadInput, "positive"),
        (["colour=1e-9", "brightness=1"], "f", BadInput, "0.000001"),
        (["colour=much", "brightness=1"], "f", BadInput, "much"),
        (["", "brightness"], "f", BadInput, "''"),
        (["colour", "nosuch"], "f", EmptySpace, "nosuch"),
        (["colour", "virtual"], "f", BadInput, "itself fused"),
        (["colour", "brightness"], "../f", BadInput, "cannot name"),
        (["colour", "brightness"], "F", BadInput, "cannot name"),
        (["colour=1", "brightness=1"], "colour", FingerprintMismatch, "colour"),
        (["colour=1", "brightness=1"], "virtual", FingerprintMismatch, "virtual"),
        (["colour=0.7", "brightness=0.3"], "virtual", BadInput, "is virtual"),
    ],
)
def test_bad_recipes_change_nothing(made, parts, space, error, message):
    store = Store.open(made)
    before, held = store.spaces(), sorted(path.name for path in made.iterdir())
    with pytest.raises(error, match=message) as caught:
        fuse_spaces(made, parts, space=space, stored=True)
    assert caught.value.remedy
    assert (store.spaces(), sorted(path.name for path in made.iterdir())) == (before, held)


def test_filling_resumes_and_follows_new_images(small):
    given = [f"{name}={weight}" for name, weight in WEIGHTS.items()]
    store = Store.open(small)
    assert fuse_spaces(small, given, space="stored", stored=True)["images"] == 2
    assert fuse_spaces(small, given, space="stored", stored=True)["images"] == 0
    table = store.vectors_table(store.space("stored"))
    before = {row["id"]: row["vector"] for row in table.rows()}
    table.delete(f"id = X'{next(iter(before)).hex()}'")
    assert fuse_spaces(small, given, space="stored", stored=True)["images"] == 1
    assert {row["id"]: row["vector"] for row in table.rows()} == before
    ingest(small.parent, {"mint.png": PICTURES["mint.png"]}, "more", [COLOUR, BRIGHTNESS])
    # The recipe of a space never changes, so that its weights need not be said again.
    assert fuse_spaces(small, ["colour", "brightness"], space="stored", stored=True)["images"] == 1
    expected = by_hand("red.png", WEIGHTS)
    found = scores(small, Query(names=["red.png"]), "stored")
    assert found == pytest.approx({name: expected[name] for name in ("red.png", "white.png", "mint.png")}, abs=1e-6)


def test_a_virtual_space_holds_what_all_components_hold(small):
    fuse_spaces(small, ["colour=1", "brightness=1"], space="virtual", stored=False)
    ingest(small.parent, {"mint.png": PICTURES["mint.png"]}, "more", [COLOUR])
    assert set(scores(small, Query(names=["red.png"]), "virtual")) == {"red.png", "white.png"}
    with pytest.raises(EmptySpace, match="mint"):
        scores(small, Query(names=["mint.png"]), "virtual")
    intake(small, Request([str(small.parent / "more.tar")], encoders=[BRIGHTNESS], workers=1))
    assert set(scores(small, Query(names=["red.png"]), "virtual")) == {"red.png", "white.png", "mint.png"}


def test_components_without_a_common_image_make_an_empty_space(tmp_path):
    path = ingest(tmp_path, {"red.png": PICTURES["red.png"]}, "one", [COLOUR])
    ingest(tmp_path, {"white.png": PICTURES["white.png"]}, "other", [BRIGHTNESS])
    # Ingesting the second source encodes in its own space only.
    made = fuse_spaces(path, ["colour=1", "brightness=1"], space="virtual", stored=False)
    assert made["spaces"]["virtual"]["rows"] == 0
    with pytest.raises(EmptySpace):
        scores(path, Query(names=["red.png"]), "virtual")


def test_removed_images_leave_every_fused_space(small):
    given = [f"{name}={weight}" for name, weight in WEIGHTS.items()]
    fuse_spaces(small, given, space="virtual", stored=False)
    fuse_spaces(small, given, space="stored", stored=True)
    remove(Store.open(small), ["white.png"])
    for space in ("virtual", "stored"):
        assert set(scores(small, Query(names=["red.png"]), space)) == {"red.png"}


def test_a_component_that_changed_is_no_longer_what_was_fused(small):
    import pyarrow as pa

    from engine.info import info

    fuse_spaces(small, ["colour=1", "brightness=1"], space="virtual", stored=False)
    store = Store.open(small)
    row = next(row for row in store.spaces_table.rows() if row["name"] == "colour")
    changed = {**row, "fingerprint": "0123456789ab"}
    store.spaces_table.merge(pa.Table.from_pylist([changed], store.spaces_table.schema), update="true")
    with pytest.raises(FingerprintMismatch, match=r"c0104ec0104e.*0123456789ab"):
        search(store, Query(names=["red.png"]), space="virtual")
    assert info(store)["spaces"]["virtual"]["rows"] == 0


def test_the_weights_of_a_recipe_are_part_of_its_fingerprint(made):
    store = Store.open(made)
    one = fused.recipe(store, {"colour": 1.0, "brightness": 1.0}, name="a", virtual=True)
    same = fused.recipe(store, {"brightness": 2.0, "colour": 2.0}, name="b", virtual=True)
    other = fused.recipe(store, {"colour": 1.0, "brightness": 1.1}, name="a", virtual=True)
    assert isinstance(one, Space)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.dim == 7
