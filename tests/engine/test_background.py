"""The background of a space in its store: against all pairs, and when it is measured again."""

from __future__ import annotations

import json
import shutil
from itertools import combinations

import numpy as np
import pytest

from engine.errors import BadInput
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.remove import remove
from engine.retrieval.background import background
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from engine.verify import verify
from indexers.background import kept
from tests.engine.colour import SPEC, picture, write_tar

FILES = {f"{place}.png": picture((10 + 20 * place, 200 - 9 * place, 5 * place)) for place in range(12)}


OTHERS = {f"{place}.png": picture((255 - 19 * place, 8 * place, 100)) for place in range(12)}


def ingest(folder, files, name="some") -> Store:
    tar = write_tar(folder / f"{name}.tar", files)
    intake(folder / "store", Request([str(tar)], encoders=[SPEC], workers=1))
    return Store.open(folder / "store")


def known(store: Store) -> list:
    """Return the file of each background that is kept."""
    return sorted((store.path / "cache" / "background").glob("*/*.npz"))


def random_pairs(store: Store) -> np.ndarray:
    X = store.vectors(store.space()).matrix.astype(np.float64)
    return np.array([(X[a] * X[b]).sum() for a, b in combinations(range(len(X)), 2)]).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return ingest(tmp_path_factory.mktemp("background"), FILES)


def test_every_hit_carries_the_share_of_random_pairs_that_reach_it(store):
    pairs = random_pairs(store)
    assert len(pairs) == 66
    hits = search(store, Query(names=["3"]), k=12).hits
    assert len(hits) == 12
    for hit in hits:
        assert hit.fpr == (np.count_nonzero(pairs >= np.float32(hit.score)) + 1) / 67
    assert hits[0].fpr == 1 / 67
    assert [hit.fpr for hit in hits] == sorted(hit.fpr for hit in hits)


@pytest.mark.parametrize("fpr", [0.015, 0.05, 0.3, 1.0])
def test_a_rate_answers_all_images_that_have_it_and_no_other(store, fpr):
    everything = search(store, Query(names=["3"]), k=12).hits
    answer = search(store, Query(names=["3"]), fpr=fpr)
    assert answer.hits == [hit for hit in everything if hit.fpr <= fpr]
    assert (answer.fpr, answer.complete) == (fpr, True)
    again = search(store, Query(names=["3"]), threshold=answer.threshold)
    assert (again.hits, again.threshold, again.fpr) == (answer.hits, answer.threshold, None)


def test_a_threshold_on_a_score_of_the_background_is_above_it(store):
    pairs = np.sort(random_pairs(store))[::-1]
    # Five pairs may reach it: four, and the observed one.
    threshold = search(store, Query(names=["3"]), fpr=5 / 67).threshold
    assert threshold == np.nextafter(pairs[4], np.float32(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fpr": 0.01}, r"66 random pairs resolve .* 0\.015, not 0\.01"),
        ({"fpr": 0}, r"\(0, 1\]"),
        ({"fpr": 2}, r"\(0, 1\]"),
        ({"fpr": float("nan")}, r"\(0, 1\]"),
        ({"fpr": 0.1, "threshold": 0.5}, r"--threshold 0.5 and --fpr 0.1"),
    ],
)
def test_rates_that_cannot_be(store, options, message):
    with pytest.raises(BadInput, match=message) as caught:
        search(store, Query(names=["3"]), **options)
    assert caught.value.remedy


def test_a_rate_and_k(store):
    whole = search(store, Query(names=["3"]), fpr=0.3)
    cut = search(store, Query(names=["3"]), fpr=0.3, k=2)
    assert (cut.hits, cut.complete) == (whole.hits[:2], False)


def test_it_is_kept_and_measured_again_when_the_space_has_grown_by_more_than_a_tenth(tmp_path):
    store = ingest(tmp_path, FILES)
    search(store, Query(names=["3"]))
    (path,) = known(store)
    first = path.read_bytes()
    assert path.parent.name == store.space().table
    ingest(tmp_path, {"new.png": picture((1, 2, 3))}, "one")
    search(store, Query(names=["3"]))
    assert (known(store), path.read_bytes()) == ([path], first)
    ingest(tmp_path, {"newer.png": picture((3, 2, 1))}, "two")
    answer = search(store, Query(names=["3"]))
    assert answer.hits[0].fpr == 1 / (14 * 13 // 2 + 1)
    assert len(known(store)) == 1 and known(store) != [path]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"not an archive"])
def test_a_damaged_one_is_seen_and_measured_again(tmp_path, damage):
    store = ingest(tmp_path, FILES)
    before = search(store, Query(names=["3"]))
    (path,) = known(store)
    path.write_bytes(damage)
    (problem,) = verify(store).problems
    assert problem.startswith(f"cache/background/{store.space().table} is not as it was written")
    assert search(store, Query(names=["3"])).hits == before.hits
    assert verify(store).ok


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"seals": {}, "rows": 12.0}'])
def test_a_state_that_is_none_is_no_background(tmp_path, state):
    store = ingest(tmp_path, FILES)
    before = search(store, Query(names=["3"]))
    (path,) = known(store)
    (path.parent / "state.json").write_text(state)
    assert search(store, Query(names=["3"])).hits == before.hits


def test_one_of_another_recipe_is_measured_again(tmp_path):
    store = ingest(tmp_path, FILES)
    space = store.space()
    background(store, space, store.vectors(space))
    (path,) = known(store)
    state = json.loads((path.parent / "state.json").read_text())
    (path.parent / "state.json").write_text(json.dumps({**state, "recipe": "another"}))
    background(store, space, store.vectors(space))
    assert known(store) != [path]


def test_one_of_another_store_is_measured_again(tmp_path):
    """It has the same name and as many rows; what it says is of other images."""
    for name, files in (("here", FILES), ("there", OTHERS)):
        (tmp_path / name).mkdir()
        background(store := ingest(tmp_path / name, files), store.space(), store.vectors(store.space()))
    here, there = (Store.open(tmp_path / name / "store") for name in ("here", "there"))
    truth = random_pairs(here)
    assert not np.allclose(np.sort(truth), np.sort(random_pairs(there)))
    shutil.rmtree(here.cache / "background")
    shutil.copytree(there.cache / "background", here.cache / "background")
    found = background(here, here.space(), here.vectors(here.space()))
    assert (np.sort(truth)[::-1] == found.scores).all()


def test_a_copied_store_keeps_its_own(tmp_path):
    store = ingest(tmp_path, FILES)
    found = background(store, store.space(), store.vectors(store.space()))
    (path,) = known(store)
    shutil.copytree(store.path, tmp_path / "copy")
    copied = Store.open(tmp_path / "copy")
    again = background(copied, copied.space(), copied.vectors(copied.space()))
    assert [one.name for one in known(copied)] == [path.name]
    assert (again.scores == found.scores).all()


def test_images_that_were_removed_and_replaced_by_as_many_others_leave_none(tmp_path):
    store = ingest(tmp_path, FILES)
    search(store, Query(names=["3"]))
    remove(store, ["11"])
    ingest(tmp_path, {"new.png": picture((1, 250, 3))}, "one")
    found = background(store, store.space(), store.vectors(store.space()))
    assert (np.sort(random_pairs(store))[::-1] == found.scores).all()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    store = ingest(tmp_path, FILES)
    before = search(store, Query(names=["3"])).hits
    for link in (store.cache / "background", store.cache / "background" / store.space().table):
        shutil.rmtree(link)
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        link.symlink_to(tmp_path / "elsewhere")
        assert search(store, Query(names=["3"])).hits == before
        assert not link.is_symlink()
        assert not list((tmp_path / "elsewhere").iterdir())


def test_an_answer_needs_no_place_to_keep_it(tmp_path):
    store = ingest(tmp_path, FILES)
    before = search(store, Query(names=["3"])).hits
    shutil.rmtree(store.cache / "background")
    (store.cache / "background").write_text("a file where the folder should be")
    assert search(store, Query(names=["3"])).hits == before


def test_photos_of_one_class_are_rarer_than_random_pairs(sample_store):
    store = Store.open(sample_store)
    found = background(store, store.space(), store.vectors(store.space()))
    assert (found.pairs, len(found.ranks)) == (340 * 339 // 2, len(kept(340 * 339 // 2)))
    hits = search(store, Query(names=["images/3.jpeg"]), fpr=0.01).hits
    assert len(hits) > 3
    assert sum(hit.label == "sunflower" for hit in hits) == len(hits)
    assert all(hit.fpr <= 0.01 for hit in hits)


def test_the_command_says_which_threshold_a_rate_became(store, engine):
    printed = engine("search", "--id", "3", "--fpr", "0.05", "--json", "--store", store.path)
    found = json.loads(printed.stdout)
    answer = search(store, Query(names=["3"]), fpr=0.05)
    assert (found["fpr"], found["threshold"]) == (0.05, answer.threshold)
    assert [hit["fpr"] for hit in found["hits"]] == [hit.fpr for hit in answer.hits]
    shown = engine("search", "--id", "3", "--fpr", "0.05", "--store", store.path)
    assert f"; fpr 0.05 is the threshold {answer.threshold:.6f}" in shown.stderr
    assert shown.stdout.splitlines()[0] == "rank\tscore\tfpr\tname\tlabel"
    assert shown.stdout.splitlines()[1] == "1\t1.0000\t0.015\t3.png\t-"
    done = engine("search", "--id", "3", "--fpr", "0.1", "--threshold", "0.9", "--store", store.path, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
