"""Groups of images that are nearly the same, found, recorded, drawn and removed, on real photos and their copies."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import indexers.graph
from engine.drawing.hits import draw_groups
from engine.errors import BadInput
from engine.info import runs
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.neighbors import dedupe as verb
from engine.neighbors import graph as graph_verb
from engine.neighbors import near_pairs
from engine.neighbors.dedupe import dedupe
from engine.neighbors.graph import graph
from engine.remove import remove
from engine.select import labels_of
from engine.store import Store
from engine.verify import verify
from tests.engine.colour import SPEC, picture, write_tar

# Photos of the sample that are nobody's near duplicate, and what was done to them.
PHOTOS = (3, 5, 77)


def encoded(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def copies(sample: Path) -> dict[str, bytes]:
    """Return photos at a lower quality and smaller."""
    made = {}
    with tarfile.open(sample) as tar:
        for number in PHOTOS:
            file = tar.extractfile(f"images/{number}.jpeg")
            assert file is not None
            photo = Image.open(file).convert("RGB")
            small = photo.resize((photo.width * 3 // 4, photo.height * 3 // 4), Image.Resampling.LANCZOS)
            made |= {f"q60-{number}.jpg": encoded(photo, quality=60), f"small-{number}.jpg": encoded(small, quality=90)}
    return made


@pytest.fixture(scope="module")
def made_store(tmp_path_factory, sample_store, sample_tar) -> Path:
    folder = tmp_path_factory.mktemp("dedupe")
    shutil.copytree(sample_store, folder / "store")
    tar = write_tar(folder / "copies.tar", copies(sample_tar))
    intake(folder / "store", Request([str(tar)], encoders=["efficientnet_lite0"], precision="fp32", workers=1))
    return folder / "store"


@pytest.fixture
def store(tmp_path, made_store) -> Store:
    shutil.copytree(made_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


@pytest.fixture
def make(tmp_path):
    """Return a function that makes a store of pictures of one colour each, whose cosines are known."""

    def made(colours: dict[str, tuple[int, int, int]]) -> Store:
        files = {name: picture(colour, (8 + place, 8)) for place, (name, colour) in enumerate(colours.items())}
        tar = write_tar(tmp_path / "colours.tar", files)
        intake(tmp_path / "colours", Request([str(tar)], encoders=[SPEC], workers=1))
        return Store.open(tmp_path / "colours")

    return made


def names(found) -> list[list[str]]:
    return [[one.name for one in group.pictures] for group in found.groups]


def group_rows(store: Store, run: str) -> list[dict]:
    return store.labels.rows(where=f"kind = 'group' AND run = '{run}'")


def families(found) -> list[set[str]]:
    """Return the groups that hold a copy, as the numbers of the photos that are in them."""
    return [
        {Path(name).stem.split("-")[-1] for name in group} for group in names(found) if any("-" in n for n in group)
    ]


def test_copies_are_found_with_their_photo(store):
    found = dedupe(store, threshold=0.9)
    assert sorted(families(found), key=min) == [{"3"}, {"5"}, {"77"}]
    assert sorted(len(group) for group in names(found) if any("-" in name for name in group)) == [3, 3, 3]
    assert found.complete
    # The photo has as many pixels as its re-encoded copy, and more bytes.
    assert {group[0] for group in names(found) if any("-" in name for name in group)} == {
        f"images/{number}.jpeg" for number in PHOTOS
    }


def test_every_pair_meets_the_threshold_and_scores_are_those_with_the_kept_one(store):
    for threshold in (0.7, 0.8, 0.95):
        found = dedupe(store, threshold=threshold, dry_run=True)
        assert found.groups and found.run is None
        vectors = graph(store).vectors
        for group in found.groups:
            ids = np.frombuffer(b"".join(one.id for one in group.pictures), np.uint8).reshape(-1, 32)
            X = vectors.matrix[vectors.positions(ids)].astype(np.float64)
            assert (X @ X.T).min() >= threshold - 1e-12
            np.testing.assert_allclose(group.scores, X @ X[0], atol=1e-6)
            assert group.scores[0] == 1.0


@pytest.mark.parametrize("k", [1, 2])
def test_nothing_is_lost_behind_k(store, monkeypatch, k):
    expected = names(dedupe(store, threshold=0.75, dry_run=True))
    assert max(map(len, expected)) > 3
    narrow = graph(store, k=k)
    monkeypatch.setattr(verb, "graph", lambda *_, **__: narrow)
    assert names(dedupe(store, threshold=0.75, dry_run=True)) == expected


def test_a_score_exactly_on_the_threshold_is_kept(make):
    store = make({"a.png": (200, 0, 0), "b.png": (200, 100, 0)})
    X = graph(store).vectors.matrix.astype(np.float64)
    on = float((X[0] * X[1]).sum() / np.sqrt((X[0] * X[0]).sum() * (X[1] * X[1]).sum()))
    assert len(dedupe(store, threshold=on, dry_run=True).groups) == 1
    assert dedupe(store, threshold=np.nextafter(on, 1), dry_run=True).groups == []


def test_a_chain_is_no_group(make):
    """Neighbours in a row meet the threshold, its ends do not."""
    store = make({"a.png": (200, 0, 0), "b.png": (200, 80, 0), "c.png": (200, 190, 0)})
    X = np.array([(200, 0, 0), (200, 80, 0), (200, 190, 0)]) / np.linalg.norm(
        [(200, 0, 0), (200, 80, 0), (200, 190, 0)], axis=1, keepdims=True
    )
    assert (X @ X.T).round(2).tolist() == [[1, 0.93, 0.72], [0.93, 1, 0.93], [0.72, 0.93, 1]]
    (group,) = names(dedupe(store, threshold=0.9, dry_run=True))
    assert sorted(group) in (["a.png", "b.png"], ["b.png", "c.png"])


def test_which_one_is_kept(make):
    colours = {"a.png": (200, 0, 0), "b.png": (201, 0, 1), "c.png": (199, 1, 0)}
    assert names(dedupe(make(colours), keep="first", dry_run=True))[0][0] == "a.png"
    # The later, the wider.
    assert names(dedupe(make(colours), keep="largest", dry_run=True))[0][0] == "c.png"


def test_a_condition_limits_what_is_compared(store):
    found = dedupe(store, threshold=0.9, where="name NOT LIKE '%small%'", dry_run=True)
    some = dedupe(store, where="name LIKE '%small%'", dry_run=True).images
    assert found.images == dedupe(store, dry_run=True).images - some and some > 0
    assert not [name for group in names(found) for name in group if "small" in name]
    assert sorted(families(found), key=min) == [{"3"}, {"5"}, {"77"}]


def test_the_run_is_recorded_and_labels_nothing(store):
    before = labels_of(store, [row["id"] for row in store.images.rows(["id"])])
    found = dedupe(store, threshold=0.9)
    rows = group_rows(store, found.run)
    assert {(row["id"], row["label"], row["score"]) for row in rows} == {
        (one.id, group.pictures[0].id.hex(), score)
        for group in found.groups
        for one, score in zip(group.pictures, group.scores, strict=True)
    }
    assert {(row["polarity"], row["kind"], row["source"]) for row in rows} == {(True, "group", "dedupe")}
    assert labels_of(store, [row["id"] for row in store.images.rows(["id"])]) == before
    (run,) = [one for one in runs(store) if one["run"] == found.run]
    assert (run["command"], run["state"]) == ("dedupe", "done")
    assert run["result"] == {"groups": len(found.groups), "kept": len(found.groups), "removable": found.removable}
    # A second run states it again, under its own name.
    assert len(group_rows(store, dedupe(store, threshold=0.9).run)) == len(rows)


def test_a_dry_run_writes_nothing(store):
    before = store.versions()
    assert dedupe(store, threshold=0.9, dry_run=True).groups
    assert store.versions() == before


def test_removing_a_run_leaves_the_kept_ones(store):
    found = dedupe(store, threshold=0.9)
    gone = {one.id for group in found.groups for one in group.pictures[1:]}
    before = {row["id"] for row in store.images.rows(["id"])}
    run, images, *_ = remove(store, duplicates=found.run)
    assert (run is not None, images) == (True, found.removable)
    assert {row["id"] for row in store.images.rows(["id"])} == before - gone
    assert verify(store).ok
    assert remove(store, duplicates=found.run)[:3] == (None, 0, 0)
    assert dedupe(store, threshold=0.9, dry_run=True).groups == []


def test_the_kept_one_does_not_go_with_those_it_is_kept_for(store):
    found = dedupe(store, threshold=0.9)
    kept = next(group.pictures[0] for group in found.groups if group.pictures[0].name == "images/3.jpeg")
    before = store.images.count()
    for names, where in ((["images/3.jpeg"], None), ([], "name = 'images/3.jpeg'")):
        with pytest.raises(BadInput, match=f"{found.run} keeps.*id:{kept.id.hex()[:16]}"):
            remove(store, names, where=where, duplicates=found.run)
    assert store.images.count() == before


def test_a_group_whose_kept_one_is_gone_stays(store):
    found = dedupe(store, threshold=0.9)
    lost = next(group for group in found.groups if group.pictures[0].name == "images/3.jpeg")
    remove(store, ["images/3.jpeg"])
    _, images, *_ = remove(store, duplicates=found.run)
    assert images == found.removable - (len(lost.pictures) - 1)
    left = {row["id"] for row in store.images.rows(["id"])}
    assert {one.id for one in lost.pictures[1:]} <= left
    assert verify(store).ok


def test_a_removal_that_was_killed_is_told_and_finished(store, monkeypatch):
    found = dedupe(store, threshold=0.9)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("engine.remove._finish", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(store, duplicates=found.run)
    assert any(f"engine remove --run {found.run}" in problem for problem in verify(store).problems)
    _, images, *_ = remove(store, duplicates=found.run)
    assert images == found.removable
    assert verify(store).ok


def test_an_approximate_graph_says_what_it_rests_on(store, monkeypatch):
    monkeypatch.setattr(indexers.graph, "EXACT_FLOPS", 0)
    monkeypatch.setattr(indexers.graph, "DESCENT_BYTES", 0)
    found = dedupe(store, threshold=0.9)
    assert not found.complete
    assert found.graph == {"kind": "ivf", "k": 15, "recall": graph(store).built.recall}
    assert sorted(families(found), key=min) == [{"3"}, {"5"}, {"77"}]


def test_one_image_is_no_group(make):
    found = dedupe(make({"a.png": (200, 0, 0)}))
    assert (found.groups, found.complete, found.removable, found.images) == ([], True, 0, 1)


def test_a_condition_limits_one_image_too(make):
    assert dedupe(make({"a.png": (200, 0, 0)}), where="width > 10000").images == 0


def test_a_condition_that_nothing_meets_is_said(store, engine):
    done = engine("dedupe", "--where", "width > 10000", "--dry-run", "--store", store.path)
    assert "no image meets --where" in done.stderr
    assert "0 groups in 0 images" in done.stderr + done.stdout


def test_what_cannot_be_asked(store, monkeypatch):
    with pytest.raises(BadInput, match=r"threshold is 1\.5"):
        dedupe(store, threshold=1.5)
    with pytest.raises(BadInput, match="--keep newest"):
        dedupe(store, keep="newest")
    with pytest.raises(BadInput, match="no run 'x' of dedupe"):
        remove(store, duplicates="x")
    monkeypatch.setattr(near_pairs, "MOST_PAIRS", 100)
    with pytest.raises(BadInput, match="more than 100 pairs"):
        dedupe(store, threshold=0.5)


def test_the_groups_are_drawn(store, tmp_path):
    found = dedupe(store, threshold=0.9, dry_run=True)
    with Image.open(draw_groups(store, found, tmp_path / "groups.png")) as drawn:
        # Three across, a row a group.
        assert drawn.width == 20 + max(len(group) for group in names(found)) * 196
        assert drawn.height == 60 + len(found.groups) * 240
    nothing = dedupe(store, threshold=0.9999999, dry_run=True)
    draw_groups(store, nothing, tmp_path / "none.png")


def test_the_commands(store, engine):
    found = json.loads(engine("dedupe", "--threshold", "0.9", "--json", "--store", store.path).stdout)
    assert set(found) == {"run", "groups", "threshold", "space", "complete", "graph", "kept", "removable", "pictures"}
    assert ["images/77.jpeg", "q60-77.jpg", "small-77.jpg"] in [[g[0], *sorted(g[1:])] for g in found["groups"]]
    assert (found["threshold"], found["complete"], found["kept"]) == (0.9, True, len(found["groups"]))
    done = json.loads(engine("remove", "--run", found["run"], "--json", "--store", store.path).stdout)
    assert done["images"] == found["removable"]
    again = engine("dedupe", "--threshold", "0.9", "--grid", "g.png", "--store", store.path)
    assert "0 groups in" in again.stderr
    assert graph_verb.graphs(store)[0]["fresh"]
