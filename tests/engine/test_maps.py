"""Maps: coordinates are kept, found again, taken away with their images, and drawn as what they are."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import engine as package
from engine.clustering.cluster import cluster
from engine.clustering.plan import Plan
from engine.drawing.maps import draw
from engine.errors import BadInput, DiskFull, EmptySpace, EngineError
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label import label
from engine.labeling.label_rule import Rule
from engine.mapping.colouring import colouring
from engine.mapping.maps import make_map
from engine.mapping.pca import pca
from engine.pictures.palette import Groups, Values
from engine.remove import remove
from engine.store import Store
from engine.store.vectors import sort_key
from engine.verify import verify


@pytest.fixture
def store(tmp_path: Path, sample_store: Path) -> Store:
    shutil.copytree(sample_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


@pytest.fixture
def run(store: Store) -> str:
    """Return a label run in which images have a score."""
    return label(store, Rule(thresholds=(0.6,)), exemplars=[("sunflower", "3"), ("Leopards", "1")]).runs[0].run


def points(store: Store) -> int:
    return store.maps.count()


def test_the_points_are_the_projection_of_the_vectors(store):
    made = make_map(store, method="pca")
    vectors = store.vectors(store.space())
    np.testing.assert_array_equal(made.xy, pca(vectors.matrix)[vectors.positions(made.ids)])
    assert (len(made), made.total, made.images, made.sample, made.graph) == (340, 340, 340, None, None)
    assert (sort_key(made.ids)[1:] > sort_key(made.ids)[:-1]).all()


def test_what_was_computed_is_kept_and_found(store):
    first = make_map(store, method="pca")
    again = make_map(store, method="pca")
    assert (first.reused, again.reused, again.run) == (False, True, first.run)
    np.testing.assert_array_equal(again.xy, first.xy)
    np.testing.assert_array_equal(again.ids, first.ids)
    assert make_map(store, method="pca", seed=1).run != first.run
    assert points(store) == 680


def test_recomputed_points_take_the_place_of_the_old(store):
    first = make_map(store, method="pca")
    again = make_map(store, method="pca", recompute=True)
    assert not again.reused and again.run != first.run and points(store) == 340
    np.testing.assert_array_equal(again.xy, first.xy)
    assert verify(store).ok


def test_umap_rests_on_the_stored_graph_and_is_the_same_for_a_seed(store):
    first = make_map(store, method="umap", seed=7)
    assert first.graph == {"kind": "exact", "k": 15, "recall": 1.0}
    assert [path.name for path in (store.cache / "graphs").glob("*/*")] == ["k15"]
    np.testing.assert_array_equal(make_map(store, method="umap", seed=7, recompute=True).xy, first.xy)


def test_a_sample_is_drawn_by_the_seed_and_said(store):
    one = make_map(store, method="pca", sample=50)
    assert (len(one), one.sample, one.total) == (50, 50, 340)
    assert make_map(store, method="pca", sample=50).reused
    other = make_map(store, method="pca", sample=50, seed=1)
    assert set(map(bytes, one.ids)) != set(map(bytes, other.ids))
    # A sample of everything is the whole.
    assert make_map(store, method="pca", sample=999).sample is None
    drawn = draw(store, method="pca", sample=50).drawing
    assert drawn.title == "PCA of space efficientnet_lite0, 50 of 340 images"
    assert drawn.note.startswith("a random sample: 50 of 340 images · coloured by label")


def test_the_graph_of_a_sample_is_its_own(store):
    made = make_map(store, method="umap", sample=40)
    assert made.graph == {"kind": "of the sample", "k": 15, "recall": None}
    assert not (store.path / "cache" / "graphs").exists()


def test_a_removed_image_is_a_point_no_more_and_the_map_is_made_anew(store):
    made = make_map(store, method="pca")
    remove(store, ["7"])
    assert points(store) == 339 and verify(store).ok
    again = make_map(store, method="pca")
    assert not again.reused and len(again) == 339 and points(store) == 339
    assert set(map(bytes, again.ids)) < set(map(bytes, made.ids))


def test_new_images_make_a_new_map(store, tmp_path):
    make_map(store, method="pca")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "more" / "red.png")
    intake(store.path, Request([str(tmp_path / "more")], encoders=["efficientnet_lite0"]))
    made = make_map(store, method="pca")
    assert not made.reused and len(made) == 341 and points(store) == 341


def test_images_without_a_vector_are_counted(store, tmp_path):
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30), "red").save(tmp_path / "more" / "red.png")
    intake(store.path, Request([str(tmp_path / "more")], encoders=["none"]))
    drawn = draw(store, method="pca").drawing
    assert (drawn.map.total, drawn.map.images) == (340, 341)
    assert drawn.note.endswith("1 images have no vector in this space")


def test_a_store_of_before_there_were_maps_is_read_and_written(store):
    shutil.rmtree(store.path / "maps.lance")
    assert verify(store).ok
    remove(store, ["7"])
    assert len(make_map(store, method="pca")) == 339
    assert verify(store).ok and make_map(store, method="pca").reused


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("run", "nobody", "points of maps belong to no run"),
        ("x", float("nan"), "points of maps are not finite"),
        ("id", bytes(32), "points of maps belong to no image"),
    ],
)
def test_verify_sees_points_that_are_none(store, column, value, words):
    made = make_map(store, method="pca")
    row = {"run": made.run, "id": bytes(made.ids[0]), "x": 1.0, "y": 2.0, column: value}
    store.maps.delete(f"id = X'{bytes(made.ids[0]).hex()}'")
    store.maps.merge(pa.Table.from_pylist([row], store.maps.schema))
    assert verify(store).problems == [f"1 {words}"]


def test_half_a_map_is_none(store):
    made = make_map(store, method="pca")
    store.maps.delete(f"id = X'{bytes(made.ids[0]).hex()}'")
    again = make_map(store, method="pca")
    assert not again.reused and len(again) == 340 and points(store) == 340


def user_space(store: Store, tmp_path: Path, matrix: np.ndarray) -> None:
    np.save(tmp_path / "mine.npy", matrix.astype(np.float32))
    source = store.sources.rows(["path"])[0]["path"]
    intake(store.path, Request([source], encoders=["none"], vectors=[f"mine={tmp_path / 'mine.npy'}"]))


def test_vectors_that_are_all_the_same_are_refused(store, tmp_path):
    user_space(store, tmp_path, np.ones((340, 4)))
    with pytest.raises(BadInput, match="all 340 vectors are the same"):
        make_map(store, method="umap", space="mine")
    assert points(store) == 0 and store.runs.count("command = 'map'") == 0


def test_vectors_that_are_not_finite_are_refused(store, monkeypatch):
    vectors = store.vectors(store.space())
    broken = np.array(vectors.matrix)
    broken[5, 3] = np.nan
    row = pa.table(
        {"id": [bytes(vectors.ids[5])], "vector": pa.FixedSizeListArray.from_arrays(pa.array(broken[5]), 1280)}
    )
    table = store.vectors_table(store.space())
    table.merge(row.cast(table.schema), update="true")
    with pytest.raises(BadInput, match="not finite; see what is broken: engine verify"):
        make_map(store, method="pca")
    assert points(store) == 0


def test_two_images_are_no_map(tmp_path):
    for colour in ("red", "blue"):
        (tmp_path / "two").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), colour).save(tmp_path / "two" / f"{colour}.png")
    intake(tmp_path / "store", Request([str(tmp_path / "two")], encoders=["efficientnet_lite0"]))
    with pytest.raises(EmptySpace, match="has 2 vectors, a map needs 3"):
        make_map(Store.open(tmp_path / "store"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "mds"}, "unknown method 'mds'"),
        ({"sample": 2}, "a sample of 2"),
        ({"seed": -1}, "seed is -1"),
        ({"space": "clip"}, "no space 'clip'"),
        ({"by": "size"}, "--color 'size' is not known"),
        ({"by": "cluster:"}, "--color 'cluster:' is not known"),
        ({"by": "cluster"}, "there is no run of clusters"),
        ({"by": "score"}, "there is no label run"),
        ({"by": "label:7"}, "--color 'label:7' is not known"),
        ({"by": "score:7"}, "'7' is no run that labelled"),
        ({"by": "truth"}, "no truth is known"),
        ({"by": "label", "truth": Path("t.csv")}, "--truth is of no use"),
        ({"picture": Path("map.gif")}, "is not a PNG name"),
        ({"picture": Path("none/map.png")}, "no folder"),
        ({"page": Path("map.png")}, "is not the name of a page"),
        ({"page": Path("none/map.html")}, "no folder"),
        ({"page": Path("/proc/map.html")}, "'/proc/map.html' cannot be written"),
    ],
)
def test_bad_input_is_refused_before_anything_is_computed(store, given, words):
    with pytest.raises(EngineError, match=words):
        draw(store, **{"method": "pca", **given})
    assert points(store) == 0


def test_a_full_disk_is_called_so(store, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.drawing.map_page.whole", full)
    with pytest.raises(DiskFull, match=r"the disk under .* is full"):
        draw(store, method="pca", sample=5, page=tmp_path / "map.html")


# --- colours ---


def test_labels_and_truth_colour_by_size(store, sample_labels):
    made = make_map(store, method="pca")
    by, groups = colouring(store, made.ids)
    assert by == "label" and isinstance(groups, Groups) and groups.sizes().tolist() == [34] * 10 + [0]
    _, truth = colouring(store, made.ids, "truth", truth_file=sample_labels)
    assert isinstance(truth, Groups) and truth.codes.tolist() == groups.codes.tolist()


def test_clusters_colour_by_run_and_noise_is_no_colour(store):
    found = cluster(store, Plan.of("kmeans", 4))
    made = make_map(store, method="pca")
    by, groups = colouring(store, made.ids, "cluster")
    assert by == f"cluster:{found.run}" and isinstance(groups, Groups)
    assert sorted(groups.sizes().tolist()) == sorted([*found.sizes, 0])
    names = [groups.names[code] for code in groups.codes]
    assert names == [str(code) for code in found.codes]
    first = bytes(made.ids[0]).hex()
    row = store.labels.rows(where=f"kind = 'cluster' AND id = X'{first}'")[0] | {"label": "noise"}
    store.labels.merge(pa.Table.from_pylist([row], store.labels.schema), update="true")
    _, groups = colouring(store, made.ids, by)
    assert isinstance(groups, Groups) and (groups.codes[0], groups.nothing, groups.sizes()[-1]) == (-1, "noise", 1)
    with pytest.raises(BadInput, match="'7' is no run of clusters"):
        colouring(store, made.ids, "cluster:7")


def test_scores_and_errors_are_those_of_a_run(store, run, sample_labels):
    made = make_map(store, method="pca")
    written = {row["id"]: row for row in store.labels.rows(where=f"run = '{run}' AND source = 'run'")}
    true = {row["id"]: row["label"] for row in store.labels.rows(where="source = 'given'")}
    _, values = colouring(store, made.ids, f"score:{run}")
    assert isinstance(values, Values)
    expected = [written[bytes(one)]["score"] if bytes(one) in written else np.nan for one in made.ids]
    np.testing.assert_array_equal(values.values, expected)
    _, errors = colouring(store, made.ids, f"error:{run}", truth_file=sample_labels)
    assert isinstance(errors, Groups)
    right = sum(true[image] == row["label"] for image, row in written.items())
    assert errors.sizes().tolist() == [right, len(written) - right, 340 - len(written), 0]


# --- the command, and Python ---


def test_the_command_draws_and_says_what(engine, store, tmp_path):
    done = engine("map", "--method", "pca", "--png", "m.png", "--html", "m.html", "--store", store.path, "--json")
    answer = json.loads(done.stdout)
    assert {"space", "method", "rows", "png", "html"} <= answer.keys()
    assert (answer["rows"], answer["color"], answer["groups"]["Leopards"]) == (340, "label", 34)
    assert Image.open(tmp_path / "m.png").format == "PNG"
    assert (tmp_path / "m.html").stat().st_size == answer["html_bytes"]
    again = json.loads(engine("map", "--method", "pca", "--store", store.path, "--json").stdout)
    assert again["reused"] and again["run"] == answer["run"] and again["png"] is None


def test_python_says_the_same(store, tmp_path):
    done = package.open(store.path).map(method="pca", png=tmp_path / "m.png")
    assert done.drawing.map.xy.shape == (340, 2) and (tmp_path / "m.png").is_file()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_map_that_is_stopped_leaves_nothing(store, how, tmp_path):
    code = (
        "import sys, time\nfrom engine.mapping import pca as room\n"
        "def slow(X, *, dim):\n    print('computing', flush=True)\n    time.sleep(60)\n"
        "room.pca = slow\nfrom engine.cli import main\n"
        f"main(['map', '--method', 'pca', '--png', 'm.png', '--html', 'm.html', '--store', {str(store.path)!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"computing\n"
        time.sleep(0.1)
        child.send_signal(how)
        assert child.wait() == (130 if how == signal.SIGINT else -9)
    assert points(store) == 0 and store.runs.count("command = 'map'") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]
    assert verify(store).ok


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
