"""Clusters as runs: found, found again, shown, named, compared, exported; and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score

import engine as package
from engine.clustering import memory
from engine.clustering.cluster import cluster
from engine.clustering.cluster_runs import cluster_run, cluster_runs, members
from engine.clustering.compare import compare
from engine.clustering.export import export_clusters
from engine.clustering.name import name_cluster
from engine.clustering.plan import Plan
from engine.clustering.show import show
from engine.drawing.clusters import draw_cluster, draw_clusters
from engine.errors import BadInput, EmptySpace
from engine.info import info, runs
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_edit import set_label
from engine.labeling.label_runs import accept, revert
from engine.labeling.labels import append
from engine.members import first_names
from engine.remove import remove
from engine.select import all_labels, labels_of
from engine.store import Store
from engine.verify import verify
from tests.engine.colour import SPEC, Notes, picture, write_tar

SIZES = {"red": 30, "green": 20, "blue": 14}


def colours() -> dict[str, bytes]:
    """Return pictures of shades of three colours, which are three clusters of their own."""
    rng = np.random.default_rng(0)
    made = {}
    for axis, (name, count) in enumerate(SIZES.items()):
        for number in range(count):
            shade = rng.integers(0, 40, 3)
            shade[axis] = 200 + rng.integers(50)
            made[f"{name}-{number}.png"] = picture(tuple(map(int, shade)))
    return made


@pytest.fixture(scope="module")
def made_store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    intake(folder / "store", Request([str(write_tar(folder / "a.tar", colours()))], encoders=[SPEC], workers=1))
    return folder / "store"


@pytest.fixture
def store(tmp_path, made_store) -> Store:
    shutil.copytree(made_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


def names(store: Store, found) -> list[str]:
    """Return the colour of each image of a run, by its name."""
    called = first_names(store, [one.tobytes() for one in found.ids])
    return [called[one.tobytes()].split("-")[0] for one in found.ids]


def with_truth(store: Store, path: Path) -> None:
    rows = "".join(f"{name},{name.split('-')[0]}\n" for name in colours())
    path.write_text("image,label\n" + rows)
    source = str(path.parent / "a.tar")
    write_tar(path.parent / "a.tar", colours())
    intake(store.path, Request([source], encoders=[SPEC], workers=1, labels=path, labels_role="truth"))


@pytest.mark.parametrize(
    ("method", "k"),
    [("kmeans", 3), ("spherical", "auto"), ("leiden", None), ("spectral", "3"), ("agglomerative", None),
     ("hdbscan", None)],
)  # fmt: skip
def test_every_method_finds_the_colours_and_says_what_memory_it_takes(store, method, k):
    notes = Notes()
    found = cluster(store, Plan.of(method, k, resolution=0.3 if method == "leiden" else None), progress=notes)
    # Leiden parts what belongs together sooner than it joins what does not.
    score = normalized_mutual_info_score if method == "leiden" else adjusted_rand_score
    assert score(names(store, found), found.codes) > (0.8 if method == "leiden" else 0.999)
    assert any(f"{method} of 64 x 3: about " in note and " are free" in note for note in notes.notes)


def test_a_run_is_recorded_and_its_clusters_are_no_labels(store):
    found = cluster(store, Plan.of("kmeans", 3))
    assert found.sizes.tolist() == list(SIZES.values())
    (run,) = [one for one in runs(store) if one["command"] == "cluster"]
    assert (run["run"], run["state"]) == (found.run, "done")
    assert run["result"]["sizes"] == list(SIZES.values())
    rows = store.labels.rows(where="kind = 'cluster'")
    assert len(rows) == 64
    assert {(row["source"], row["run"], row["polarity"]) for row in rows} == {("cluster", found.run, True)}
    assert {row["label"] for row in rows} == {"0", "1", "2"}
    assert info(store)["labels"] == {"cluster": 64}
    assert len(all_labels(store)) == 0
    assert labels_of(store, [found.ids[0].tobytes()]) == {}
    assert verify(store).ok


def test_scores_are_cosines_with_the_mean_and_medoids_have_the_highest(store):
    found = cluster(store, Plan.of("kmeans", 3))
    vectors = store.vectors(store.space())
    X = vectors.matrix[vectors.positions(found.ids)]
    for code in range(3):
        own = found.codes == code
        mean = X[own].mean(axis=0)
        np.testing.assert_allclose(found.scores[own], X[own] @ mean / np.linalg.norm(mean), atol=1e-6)
        first = found.ids[members(found, code)[0]].tobytes().hex()
        assert found.result["medoids"][code] == first
        assert found.scores[members(found, code)[0]] == found.scores[own].max()


def test_the_same_is_done_once_unless_it_is_asked_again(store):
    first = cluster(store, Plan.of("kmeans", 3))
    notes = Notes()
    again = cluster(store, Plan.of("kmeans", 3), progress=notes)
    assert again.run == first.run
    assert any(first.run in note for note in notes.notes)
    np.testing.assert_array_equal(again.codes, first.codes)
    others = [
        cluster(store, Plan.of("kmeans", 3), recompute=True),
        cluster(store, Plan.of("kmeans", 3, seed=1)),
        cluster(store, Plan.of("kmeans", 4)),
        cluster(store, Plan.of("kmeans", 3), where="name LIKE 'red%'"),
    ]
    assert len({first.run, *(one.run for one in others)}) == 5
    # A vector that goes makes another space.
    remove(store, ["red-0.png"])
    assert cluster(store, Plan.of("kmeans", 3)).run not in {first.run, *(one.run for one in others)}


def test_a_condition_chooses_the_images_and_the_graph_is_theirs(store):
    found = cluster(store, Plan.of("leiden", resolution=0.3), where="name NOT LIKE 'blue%'")
    assert set(names(store, found)) == {"red", "green"}
    assert len(found.ids) == 50
    # Another set of images under the same words is another run.
    remove(store, ["red-0.png"])
    other = cluster(store, Plan.of("leiden", resolution=0.3), where="name NOT LIKE 'blue%'")
    assert (other.run != found.run, len(other.ids)) == (True, 49)


def test_figures_are_scikit_learns_against_the_truth_and_none_without(store, tmp_path):
    bare = cluster(store, Plan.of("kmeans", 5))
    vectors = store.vectors(store.space())
    X = vectors.matrix[vectors.positions(bare.ids)].astype(np.float64)
    width = silhouette_score(X, bare.codes, metric="cosine")
    assert bare.result["metrics"]["silhouette"] == pytest.approx(width, abs=1e-5)
    assert bare.result["metrics"]["nmi"] is None
    assert (bare.result["against"], bare.result["chance"]) == (None, None)
    with_truth(store, tmp_path / "truth.csv")
    found = cluster(store, Plan.of("kmeans", 5), recompute=True)
    truth = names(store, found)
    metrics = found.result["metrics"]
    assert metrics["nmi"] == pytest.approx(normalized_mutual_info_score(truth, found.codes))
    assert metrics["ari"] == pytest.approx(adjusted_rand_score(truth, found.codes))
    assert (found.result["against"], found.result["compared"]) == ("truth", 64)
    assert found.result["chance"]["ari"] == 0


def test_without_truth_the_labels_that_count_are_compared_with(store):
    for name in ("red-0.png", "red-1.png", "green-0.png"):
        set_label(store, name, name.split("-")[0])
    found = cluster(store, Plan.of("kmeans", 3))
    assert (found.result["against"], found.result["compared"]) == ("labels", 3)
    assert found.result["metrics"]["purity"] == 1


def test_noise_is_a_label_and_each_of_it_a_cluster_in_the_figures(store, tmp_path):
    with_truth(store, tmp_path / "truth.csv")
    found = cluster(store, Plan.of("hdbscan", min_size=18))
    # The blues are too few for a cluster; what is called noise is all blue.
    blue = np.array(names(store, found)) == "blue"
    assert blue[found.codes < 0].all()
    assert found.result["noise"] == found.noise == 13
    assert np.isnan(found.scores[found.codes < 0]).all()
    rows = store.labels.rows(where=f"kind = 'cluster' AND run = '{found.run}' AND label = 'noise'")
    assert len(rows) == 13
    assert all(row["score"] is None for row in rows)
    own = np.where(found.codes < 0, 100 + np.arange(64), found.codes)
    expected = normalized_mutual_info_score(names(store, found), own)
    assert found.result["metrics"]["nmi"] == pytest.approx(expected)
    against, clusters = show(store, found)
    assert (against, [one.cluster for one in clusters]) == ("truth", ["0", "1", "noise"])
    assert (clusters[-1].images, clusters[-1].label, clusters[-1].medoid, clusters[-1].score) == (
        13,
        "blue",
        None,
        None,
    )


def test_clusters_are_shown_with_size_medoid_class_and_purity(store, tmp_path):
    with_truth(store, tmp_path / "truth.csv")
    found = cluster(store, Plan.of("kmeans", 2))
    _, clusters = show(store, found)
    assert [one.images for one in clusters] == found.sizes.tolist()
    truth = np.array(names(store, found))
    for code, one in enumerate(clusters):
        classes, counts = np.unique(truth[found.codes == code], return_counts=True)
        assert one.label == classes[counts.argmax()]
        assert one.purity == pytest.approx(counts.max() / counts.sum())
        assert one.score == pytest.approx(found.scores[found.codes == code].mean())
        assert one.share == pytest.approx(one.images / 64)
        assert one.medoid is not None and one.medoid.endswith(".png")


def test_a_number_near_the_most_that_are_tried_is_said(store, monkeypatch):
    notes = Notes()
    cluster(store, Plan.of("spectral", "auto"), progress=notes)
    assert not any("tries at most" in note for note in notes.notes)
    monkeypatch.setattr("labelers.spectral.Spectral.most", 3)
    found = cluster(store, Plan.of("spectral", "auto"), recompute=True, progress=notes)
    assert f"spectral tries at most 3 clusters and chose {found.k}; for more give a number: -k N" in notes.notes


def test_a_reduction_comes_before_and_is_part_of_the_run(store):
    found = cluster(store, Plan.of("kmeans", 3, reduce="pca:2"))
    assert adjusted_rand_score(names(store, found), found.codes) == 1
    assert found.details["reduce"] == "pca:2"
    graph = cluster(store, Plan.of("spectral", 3, reduce="pca:2"))
    assert adjusted_rand_score(names(store, graph), graph.codes) == 1
    notes = Notes()
    layout = cluster(store, Plan.of("hdbscan", reduce="umap:2"), progress=notes)
    assert any(note.startswith("umap:2 and hdbscan of 64 x 3: about 301 MiB") for note in notes.notes)
    assert adjusted_rand_score(names(store, layout), layout.codes) > 0.9


def test_a_named_cluster_is_labels_of_a_person_that_can_be_reverted(store):
    found = cluster(store, Plan.of("kmeans", 3))
    set_label(store, "red-0.png", "crimson")
    done = name_cluster(store, 0, "red")
    assert (done.clusters, done.labelled, done.kept) == (found.run, 29, 1)
    counted = {row["id"]: row["label"] for row in all_labels(store).to_pylist()}
    assert sorted(counted.values()) == ["crimson"] + ["red"] * 29
    assert {found.ids[row].tobytes() for row in members(found, 0)} == set(counted)
    assert revert(store, done.run).state == "reverted"
    assert all_labels(store)["label"].to_pylist() == ["crimson"]
    accept(store, done.run)
    assert len(all_labels(store)) == 30


def test_what_cannot_be_named(store):
    found = cluster(store, Plan.of("kmeans", 3))
    name_cluster(store, "0", "red")
    before = store.labels.count()
    for number, label, said in (
        ("7", "x", "no cluster '7'; there is 0 to 2 and noise"),
        ("-1", "x", "no cluster '-1'"),
        ("x", "x", "no cluster 'x'"),
        ("9" * 30, "x", "no cluster"),
        ("1", " ", "has no name"),
        ("1", "Red", "differ in nothing but case"),
        ("0", "red", "no image that is not labelled by a person already"),
        ("noise", "x", "no image"),
    ):
        with pytest.raises(BadInput, match=said):
            name_cluster(store, number, label)
    with pytest.raises(BadInput, match="no run of clusters"):
        name_cluster(store, "1", "green", run="nothing")
    assert store.labels.count() == before
    for decide in (accept, revert):
        with pytest.raises(BadInput, match="is a run of clusters"):
            decide(store, found.run)


def test_two_runs_are_compared_over_the_images_they_share(store):
    whole = cluster(store, Plan.of("kmeans", 3))
    part = cluster(store, Plan.of("hdbscan", min_size=18), where="name NOT LIKE 'red-2%'")
    done = compare(store, whole.run, part.run)
    shared = np.isin(np.array([one.tobytes() for one in whole.ids]), np.array([one.tobytes() for one in part.ids]))
    one = whole.codes[shared]
    own = np.where(part.codes < 0, 100 + np.arange(len(part.codes)), part.codes)
    assert done.images == len(part.ids) == 53
    assert done.metrics.nmi == pytest.approx(normalized_mutual_info_score(one, own))
    assert done.metrics.ari == pytest.approx(adjusted_rand_score(one, own))
    assert sum(images for _, _, images in done.contingency) == 53
    assert ("2", "noise", 13) in done.contingency
    assert done.contingency == sorted(done.contingency, key=lambda pair: -pair[2])
    red, green = (cluster(store, Plan.of("kmeans", 2), where=f"name LIKE '{name}%'") for name in ("red", "green"))
    with pytest.raises(BadInput, match="no image in common"):
        compare(store, red.run, green.run)
    with pytest.raises(BadInput, match="no run of clusters"):
        compare(store, red.run, "x")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_export_has_a_line_an_image_in_the_order_of_members(store, tmp_path, ending):
    found = cluster(store, Plan.of("hdbscan", min_size=18))
    done = export_clusters(store, tmp_path / f"out{ending}")
    assert (done.run, done.rows) == (found.run, 64)
    if ending == ".csv":
        rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    else:
        rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["name"] for row in rows] == list(colours())
    codes = {found.ids[row].tobytes().hex(): found.codes[row] for row in range(64)}
    assert [row["cluster"] for row in rows] == [
        "noise" if codes[row["id"]] < 0 else str(codes[row["id"]]) for row in rows
    ]
    assert {row["score"] in ("", None) for row in rows if row["cluster"] == "noise"} == {True}
    assert not list(tmp_path.glob(".*tmp"))


def test_what_cannot_be_exported(store, tmp_path):
    with pytest.raises(BadInput, match="there is no run of clusters"):
        export_clusters(store, tmp_path / "x.csv")
    cluster(store, Plan.of("kmeans", 3))
    for path in (tmp_path / "x.txt", tmp_path / "none" / "x.csv", tmp_path):
        with pytest.raises(BadInput):
            export_clusters(store, path)


def test_removed_images_leave_their_clusters(store):
    found = cluster(store, Plan.of("kmeans", 3))
    remove(store, ["red-0.png", "blue-3.png"])
    left = cluster_run(store, found.run)
    assert left.sizes.tolist() == [29, 20, 13]
    assert [one.images for one in show(store, left)[1]] == [29, 20, 13]


def test_clusters_are_drawn(store, tmp_path):
    found = cluster(store, Plan.of("hdbscan", min_size=18))
    with (
        Image.open(draw_clusters(store, found, tmp_path / "all.png")) as all_,
        Image.open(draw_cluster(store, found, "0", tmp_path / "one.png")) as one,
        Image.open(draw_cluster(store, found, "noise", tmp_path / "noise.png")) as noise,
    ):
        # Two rows of eight; 30 images in four rows; 13 of noise in two.
        assert all_.size[0] == one.size[0] == noise.size[0]
        assert one.size[1] > all_.size[1] == noise.size[1]


@pytest.mark.parametrize(
    ("method", "k", "own", "said"),
    [
        ("dbscan", None, {}, "unknown method 'dbscan'; use one of kmeans"),
        ("kmeans", 0, {}, "-k 0 is no number"),
        ("kmeans", 10**30, {}, "is more clusters than there are images; ask for fewer"),
        ("kmeans", "ten", {}, "-k ten is no number"),
        ("kmeans", "-3", {}, "is no number"),
        ("kmeans", "1.5", {}, "is no number"),
        ("leiden", 5, {}, "finds the number of clusters itself; leave -k out"),
        ("kmeans", 3, {"resolution": 2.0}, "kmeans has no resolution; leave it out, or use --method leiden"),
        ("leiden", None, {"min_size": 5}, "leiden has no min size; leave it out, or use --method hdbscan"),
        ("leiden", None, {"resolution": -1.0}, "must be above 0"),
        ("leiden", None, {"resolution": 1e308}, "the resolution is 1e+308, must be above 0 and at most 1000000"),
        ("hdbscan", None, {"min_size": 1}, "at least 2"),
        ("kmeans", 3, {"reduce": "pca:1000000005"}, "is no reduction"),
        ("kmeans", 3, {"reduce": "pca:000"}, "is no reduction"),
        ("kmeans", 3, {"reduce": "pca"}, "--reduce pca is no reduction"),
        ("kmeans", 3, {"reduce": "tsne:2"}, "is no reduction"),
        ("kmeans", 3, {"reduce": "pca:0"}, "is no reduction"),
        ("leiden", None, {"reduce": "umap:2"}, "of which UMAP is made too"),
        ("kmeans", None, {"reduce": "umap:2"}, "no cosines to choose a number of clusters by"),
        ("kmeans", 3, {"seed": -1}, "the seed is -1"),
    ],
)  # fmt: skip
def test_what_no_method_understands(method, k, own, said):
    with pytest.raises(BadInput) as error:
        Plan.of(method, k, **own)
    assert said in str(error.value)


def test_zeros_before_a_number_say_nothing():
    plan = Plan.of("kmeans", "007", reduce="pca:000000005123")
    assert (plan.k, str(plan.reduce)) == (7, "pca:5123")


def test_what_cannot_be_clustered_leaves_no_run(store, tmp_path):
    for plan, where, said in (
        (Plan.of("kmeans", 65), None, "65 clusters of 64 images; ask for at most 64"),
        (Plan.of("kmeans", 3), "name LIKE 'x%'", "no image with a vector"),
        (Plan.of("leiden"), "name = 'red-0.png'", "nothing to tell apart"),
        (Plan.of("kmeans", 3, reduce="pca:4"), None, "at most 3"),
        (Plan.of("hdbscan", min_size=65), None, "clusters of at least 65 of 64 images; give --min-size from 2 to 64"),
        (Plan.of("hdbscan", min_size=64), None, "hdbscan finds no cluster: all 64 images are noise; lower --min-size"),
    ):
        with pytest.raises(BadInput, match=said):
            cluster(store, plan, where=where)
    with pytest.raises(EmptySpace):
        cluster(store, Plan.of("kmeans", 3), space="clip")
    alike = write_tar(tmp_path / "alike.tar", {f"{n}.png": picture((90, 30, 10), (5 + n, 5)) for n in range(8)})
    intake(tmp_path / "alike", Request([str(alike)], encoders=[SPEC], workers=1))
    other = Store.open(tmp_path / "alike")
    for method, k in (("kmeans", 2), ("leiden", None), ("spectral", None), ("agglomerative", 2), ("hdbscan", None)):
        with pytest.raises(BadInput, match="only 1 that differ"):
            cluster(other, Plan.of(method, k))
    for one in (store, other):
        assert cluster_runs(one) == []
        assert one.labels.count() == 0


def test_what_does_not_fit_is_refused_with_an_alternative(store, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    for method, remedy in (("hdbscan", "--reduce pca:50, or --method leiden"), ("agglomerative", "--method leiden")):
        with pytest.raises(BadInput, match="MiB of memory, 1 MiB are free") as error:
            cluster(store, Plan.of(method))
        assert remedy in str(error.value)
    assert cluster_runs(store) == []


def test_the_memory_that_is_free_is_known():
    assert 2**20 < memory.available() < 2**50


def test_a_run_that_failed_or_was_killed_is_none(store, monkeypatch):
    def torn(*args, **options):
        append(*args, **{**options, "ids": options["ids"][:5], "labels": options["labels"][:5],
                         "scores": options["scores"][:5]})  # fmt: skip
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.clustering.cluster.append", torn)
    with pytest.raises(KeyboardInterrupt):
        cluster(store, Plan.of("kmeans", 3))
    # Killed: it has no end at all.
    store.begin("cluster", {"method": "kmeans"})
    assert cluster_runs(store) == []
    with pytest.raises(BadInput, match="there is no run of clusters"):
        cluster_run(store)
    monkeypatch.undo()
    assert cluster(store, Plan.of("kmeans", 3)).sizes.tolist() == list(SIZES.values())


def test_a_process_that_is_stopped_leaves_nothing(store, tmp_path):
    script = (
        "import sys, time, engine.clustering.cluster as verb\n"
        "from engine.cli import main\n"
        "def slow(*a, **o):\n    print('now', flush=True)\n    time.sleep(60)\n"
        "verb.score = slow\n"
        f"main(['cluster', '--method', 'kmeans', '-k', '3', '--store', {str(store.path)!r}])\n"
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "now\n"
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(30) == code
        process.stdout.close()
    assert cluster_runs(store) == []
    assert store.labels.count() == 0


def test_the_commands(store, engine, tmp_path):
    with_truth(store, tmp_path / "truth.csv")
    at = ("--store", str(store.path))
    done = engine("cluster", "--method", "kmeans", "-k", "3", "--json", *at)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["method"], found["k"], found["noise"], found["metrics"]["ari"]) == ("kmeans", 3, 0, 1)
    assert list(found["metrics"])[:4] == ["nmi", "ari", "ri", "ami"]
    assert "of memory" in done.stderr
    text = engine("cluster", "--method", "kmeans", "-k", "3", *at)
    assert text.stdout.splitlines()[1].startswith("nmi\t1.0000\t0.")
    assert found["run"] in text.stderr and "(--recompute does it again)" in text.stderr
    other = json.loads(engine("cluster", "--method", "kmeans", "-k", "2", "--json", "--recompute", *at).stdout)
    shown = engine("cluster", "show", found["run"], "--grid", "all.png", "--json", *at)
    assert [one["images"] for one in json.loads(shown.stdout)["clusters"]] == list(SIZES.values())
    assert (tmp_path / "all.png").exists()
    lines = engine("cluster", "show", found["run"], "--cluster", "1", "--grid", "one.png", *at).stdout.splitlines()
    assert lines[0].split("\t") == ["cluster", "images", "share", "mean score", "medoid", "class", "purity"]
    assert lines[2].split("\t")[-2:] == ["green", "1.0000"]
    compared = json.loads(engine("cluster", "compare", found["run"], other["run"], "--json", *at).stdout)
    assert compared["images"] == 64 and compared["metrics"]["homogeneity"] < 1
    exported = engine("cluster", "export", found["run"], "--output", "c.csv", *at)
    assert exported.stdout == f"64 images of run {found['run']} in c.csv\n"
    named = json.loads(engine("cluster", "name", "2", "blue", "--run", found["run"], "--json", *at).stdout)
    assert (named["labelled"], named["label"]) == (14, "blue")
    assert engine("labels", "revert", named["run"], *at).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cluster", "--method", "nothing"], "nothing"),
        (["cluster", "-k", "0", "--method", "kmeans"], "-k 0"),
        (["cluster", "--method", "kmeans", "show"], "options go behind the command"),
        (["cluster", "show", "nothing"], "there is no run of clusters"),
        (["cluster", "compare", "a", "b"], "there is no run of clusters"),
        (["cluster", "export", "--output", "x.txt"], "end it in .csv or .parquet"),
        (["cluster", "name", "0", "x"], "there is no run of clusters"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(store, engine, arguments, said):
    done = engine(*arguments, *([] if arguments[-1] == "show" else ["--store", str(store.path)]), check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_python_api_says_the_same(store):
    collection = package.open(store.path)
    found = collection.cluster("kmeans", k=3)
    assert found.metrics == found.result["metrics"]
    # The whole computation, not only the writing.
    assert runs(collection.store)[-1]["seconds"] >= found.result["seconds"]
    assert [one.images for one in collection.clusters()] == list(SIZES.values())
    assert collection.name_cluster(0, "red").labelled == 30
    other = collection.cluster("kmeans", k=2)
    assert collection.compare_clusters(found.run, other.run).images == 64
