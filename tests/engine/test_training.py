"""`engine train autoencoder` on real stores: what answers meanwhile, what is left when it is stopped, bad inputs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from engine import encoders, fused
from engine.cli import main
from engine.compact import compact
from engine.encoders.autoencoder.training import Config
from engine.errors import BadInput, DiskFull, EncoderUnavailable, Interrupted, StoreBusy
from engine.ingestion.fill import fuse_spaces
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.remove import remove
from engine.retrieval.encode import encoder_of
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Space, Store
from engine.store.durable import locked
from engine.store.vectors import unit, vector_rows
from engine.training import autoencoder, models
from engine.training.autoencoder import train_autoencoder
from engine.training.config import configured
from engine.training.first import learn, steps_for
from engine.verify import drift, verify
from tests.engine.colour import SPEC, Notes, picture, write_tar
from tests.engine.shapes import shapes, write_shapes
from tests.engine.test_safety import Runner, some_moments

SHORT = Config(steps=8, batch=32, checkpoint=3)
COUNT = 210


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Return a store of 210 pictures with their colours and labels, and no autoencoder."""
    folder = tmp_path_factory.mktemp("shapes")
    tar = write_shapes(folder / "shapes.tar", COUNT)
    intake(folder / "store", Request([str(tar)], encoders=[SPEC], labels_from_folders=True, workers=1))
    return folder / "store"


@pytest.fixture(scope="module")
def trained(whole, tmp_path_factory) -> Path:
    """Return a copy of that store with an autoencoder."""
    path = tmp_path_factory.mktemp("trained") / "store"
    shutil.copytree(whole, path)
    train_autoencoder(Store.open(path), SHORT, workers=1)
    return path


@pytest.fixture
def store(whole, tmp_path) -> Store:
    return Store.open(shutil.copytree(whole, tmp_path / "store"))


@pytest.fixture
def learnt(trained, tmp_path) -> Store:
    return Store.open(shutil.copytree(trained, tmp_path / "store"))


def hits(store: Store, space: str = "autoencoder") -> list[tuple[bytes, float]]:
    answer = search(store, Query(names=["@7"]), space=space, k=20)
    return [(hit.id, round(hit.score, 5)) for hit in answer.hits]


# --- what it leaves ---


def test_every_image_gets_a_vector_and_the_model_says_what_it_is(learnt):
    space = learnt.space("autoencoder")
    vectors = learnt.vectors(space)
    assert (len(vectors), space.dim) == (COUNT, 128)
    (about,) = models.models(learnt)
    assert space.encoder == f"autoencoder:{about['model']}"
    assert (about["kind"], about["classes"], about["images"], about["held"]) == ("autoencoder", [], COUNT, 42)
    assert about["metrics"]["mse"] > 0
    assert about["metrics"]["accuracy"] is None
    assert learnt.space().name == "colour"
    assert not list(learnt.path.glob("cache/training/*"))
    verdict = verify(learnt)
    assert (verdict.ok, verdict.spaces) == (True, {"autoencoder": COUNT, "colour": COUNT})


def test_a_vector_is_that_of_the_decoded_picture(learnt):
    # What is stored is met by encoding the sources again, in a process that has the store and nothing else.
    measured = drift(learnt, 20, space="autoencoder")
    assert (measured.images, measured.ok) == (20, True)
    pixels, _ = shapes(COUNT)
    answer = search(learnt, Query(images=[pixels[3]]), space="autoencoder", k=1)
    assert answer.hits[0].name.endswith("/3.png")
    assert answer.hits[0].score == pytest.approx(1, abs=1e-4)


def test_later_images_get_their_vectors_from_the_same_weights_in_the_same_pass(learnt, tmp_path):
    before = learnt.space("autoencoder")
    tar = write_shapes(tmp_path / "more.tar", 20, seed=5)
    done = intake(learnt.path, Request([str(tar)], workers=1, device="cpu"))
    assert learnt.space("autoencoder") == before
    assert done["spaces"]["autoencoder"]["rows"] == COUNT + 20
    commands = [row["command"] for row in learnt.runs.rows(["command"], "event = 'start'")]
    # The one of `embed` is the bundled network's, over the images that were there.
    assert commands.count("train") == 1
    assert verify(learnt).ok


def test_without_an_autoencoder_later_images_are_left_to_another_ingest(learnt, tmp_path):
    tar = write_shapes(tmp_path / "more.tar", 5, seed=6)
    done = intake(learnt.path, Request([str(tar)], workers=1, autoencoder=False))
    assert "autoencoder" not in done["spaces"]
    assert learnt.vectors_table(learnt.space("autoencoder")).count() == COUNT


def test_the_same_training_is_not_done_twice_and_another_seed_moves_the_space(learnt):
    first = learnt.space("autoencoder")
    again = train_autoencoder(learnt, SHORT, workers=1)
    assert (again.space.fingerprint, again.rows, again.note) == (first.fingerprint, 0, "")
    other = train_autoencoder(learnt, Config(steps=8, batch=32, seed=1), workers=1)
    assert (other.rows, other.lacking) == (COUNT, 0)
    assert learnt.space("autoencoder").fingerprint == other.space.fingerprint != first.fingerprint
    # Who reads the old table may go on; `compact` drops it.
    assert [table.name for table in learnt.unpointed()] == [first.table]
    assert learnt.vectors_table(first).count() == COUNT
    compact(learnt)
    assert learnt.unpointed() == []
    assert len(hits(learnt)) == 20


def test_labels_that_count_train_a_head_and_truth_does_not(learnt, tmp_path):
    done = train_autoencoder(learnt, Config(steps=40, batch=32), head=True, space="labelled", workers=1)
    assert done.about["classes"] == ["cold", "warm"]
    assert done.about["metrics"]["accuracy"] > 0.9
    assert set(learnt.spaces()) == {"autoencoder", "colour", "labelled"}
    assert done.space.remedy == f"run: engine embed --encoder autoencoder:{done.model} --space labelled"
    pictures = {f"{row}.png": picture((row, 10, 99)) for row in range(COUNT)}
    (tmp_path / "truth.csv").write_text("image,label\n" + "".join(f"{name},{name[0]}\n" for name in pictures))
    tar = write_tar(tmp_path / "other.tar", pictures)
    request = Request([str(tar)], encoders=[SPEC], labels=tmp_path / "truth.csv", labels_role="truth", workers=1)
    intake(tmp_path / "other", request)
    with pytest.raises(BadInput, match=r"labels of two classes or more, there are 0.*engine labels import"):
        train_autoencoder(Store.open(tmp_path / "other"), SHORT, head=True)


# --- fused ---


def with_cnn(store: Store) -> Store:
    """Give the store vectors under the name of the bundled network."""
    ids = store.vectors(store.space("colour")).ids
    rows = unit(np.random.default_rng(0).normal(size=(len(ids), 6)).astype(np.float32), "efficientnet_lite0")
    space = store.declare(Space("efficientnet_lite0", "0" * 12, 6, "user"), "run")
    store.vectors_table(space).merge(vector_rows([one.tobytes() for one in ids], rows))
    return store


def test_the_fused_space_follows_the_autoencoder_and_is_never_the_default(learnt):
    with_cnn(learnt)
    notes, _ = learn(learnt, progress=Notes())
    first = learnt.space("fused")
    assert first.virtual
    assert notes == {"fused": fused.weighing(first)}
    assert "efficientnet_lite0 0." in notes["fused"]
    assert set(first.recipe["weights"]) == {"autoencoder", "efficientnet_lite0"}
    # By the inverse of the spread: the narrower space weighs more.
    spreads = {name: fused.spread(learnt, learnt.space(name), remedy="") for name in first.recipe["weights"]}
    inverse = {name: 1 / spread for name, spread in spreads.items()}
    for name, weight in first.recipe["weights"].items():
        assert weight == pytest.approx(inverse[name] / sum(inverse.values()), abs=1e-5)
    assert len(hits(learnt, "fused")) == 20
    done = train_autoencoder(learnt, Config(steps=8, batch=32, seed=1), workers=1)
    moved = learnt.space("fused")
    assert done.followers == (moved,)
    assert moved.fingerprint != first.fingerprint
    assert moved.recipe["fingerprints"]["autoencoder"] == learnt.space("autoencoder").fingerprint
    assert len(hits(learnt, "fused")) == 20
    assert learnt.default_space() == "efficientnet_lite0"
    assert verify(learnt).ok


def test_what_a_person_fused_replaces_what_an_ingest_fused_and_follows_too(learnt):
    with_cnn(learnt)
    learn(learnt, progress=Notes())
    fuse_spaces(learnt.path, ["autoencoder=0.25", "colour=0.75"], space="fused", stored=False)
    mine = learnt.space("fused")
    assert mine.recipe["weights"] == {"autoencoder": 0.25, "colour": 0.75}
    learn(learnt, progress=Notes())
    assert learnt.space("fused") == mine
    train_autoencoder(learnt, Config(steps=8, batch=32, seed=1), workers=1)
    followed = learnt.space("fused")
    assert followed.recipe["weights"] == mine.recipe["weights"]
    assert followed.fingerprint != mine.fingerprint
    assert len(hits(learnt, "fused")) == 20


# --- the first ingest ---


def test_the_first_ingest_of_enough_pictures_trains_one(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.training.first.FEWEST", 4)
    monkeypatch.setattr("engine.training.first.EPOCHS", 0)
    monkeypatch.setattr("engine.ingestion.choose.DEFAULTS", ())
    tar, notes = write_shapes(tmp_path / "few.tar", 199), Notes()
    done = intake(tmp_path / "store", Request([str(tar)], workers=1), progress=notes)
    (skipped,) = done["skipped"]
    assert skipped["encoder"] == "autoencoder"
    assert "199 pictures are fewer than 200" in skipped["reason"]
    assert not (tmp_path / "store" / "models").exists()
    more = write_shapes(tmp_path / "more.tar", 30, seed=9)
    left_out = intake(tmp_path / "store", Request([str(more)], workers=1, autoencoder=False))
    assert (left_out["spaces"], left_out["skipped"]) == ({}, [])
    done = intake(tmp_path / "store", Request([str(more)], workers=1))
    assert done["spaces"]["autoencoder"]["rows"] == 229
    assert intake(tmp_path / "store", Request([str(more)], workers=1))["spaces"]["autoencoder"]["note"] == ""


def test_an_ingest_beside_another_leaves_the_training_to_it(store, monkeypatch):
    monkeypatch.setattr("engine.training.first.FEWEST", 4)
    monkeypatch.setattr("engine.training.first.EPOCHS", 0)
    with store.lock():
        notes, skipped = learn(store, progress=Notes(), workers=1)
    assert notes == {}
    assert "another process" in skipped[0].reason


def test_the_budget_grows_with_the_collection_within_bounds():
    assert [steps_for(n) for n in (200, 1000, 3200, 10**6)] == [100, 156, 500, 500]


# --- stopped and killed ---


class Stops(Notes):
    """Presses Ctrl-C at the n-th picture batch of `what`."""

    def __init__(self, what: str, n: int) -> None:
        super().__init__()
        self.wanted, self.left, self.current = what, n, ""

    def begin(self, what, total, unit="images"):
        self.current = what

    def advance(self, images, rejected=0):
        if self.current.startswith(self.wanted):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


class Begun(Notes):
    """Writes down what was begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []

    def begin(self, what, total, unit="images"):
        self.begun.append(what)


@pytest.mark.parametrize(("what", "n"), [("train", 2), ("train", 5), ("embed", 2)])
def test_ctrl_c_leaves_the_old_space_and_the_same_command_goes_on(learnt, what, n):
    before, answers = learnt.space("autoencoder"), hits(learnt)
    config = Config(steps=8, batch=32, seed=2)
    with pytest.raises(Interrupted, match="stopped after"):
        train_autoencoder(learnt, config, workers=1, progress=Stops(what, n))
    assert learnt.space("autoencoder") == before
    assert hits(learnt) == answers
    assert verify(learnt).ok
    done = train_autoencoder(learnt, config, workers=1)
    assert learnt.space("autoencoder") == done.space != before
    assert done.rows == (COUNT if what == "train" else COUNT - 64)


def test_a_killed_training_goes_on_to_the_same_space(whole, tmp_path):
    runner = Runner(tmp_path)
    (tmp_path / "driver.py").write_text((tmp_path / "driver.py").read_text().replace(
        "    count_fsyncs()\n", "    import engine.encoders.autoencoder.training as t\n"
        "    t.Config.__init__.__defaults__ = tuple(3 if d == 500 else d for d in t.Config.__init__.__defaults__)\n"
        "    count_fsyncs()\n",
    ))  # fmt: skip
    command = ["train", "autoencoder", "--steps", 8, "--workers", 1, "--json", "--store"]
    counted = shutil.copytree(whole, tmp_path / "counted")
    moments = some_moments(4, runner.fsyncs(*command, counted))
    truth = Store.open(counted).space("autoencoder")
    for moment in moments[1:]:
        path = shutil.copytree(whole, tmp_path / f"killed{moment}")
        runner.run(*command, path, KILL_AT=moment, code=-signal.SIGKILL)
        store = Store.open(path)
        assert verify(store).ok
        assert all(one.encoder != "autoencoder" for one in store.spaces().values())
        document = json.loads(runner.run(*command, path).stdout)
        assert document["fingerprint"] == truth.fingerprint
        found = store.vectors(store.space("autoencoder"))
        expected = Store.open(counted).vectors(truth)
        np.testing.assert_allclose(found.matrix, expected.matrix[expected.positions(found.ids)], atol=1e-6)
        assert not list(path.rglob("*.tmp"))
    assert len(moments) == 4


# --- bad inputs ---


def test_what_cannot_be_meant_is_refused_before_anything_is_read():
    for wrong in ({"steps": 0}, {"side": 48}, {"seed": -1}, {"seed": 2**32}, {"classification": 0}):
        with pytest.raises(BadInput):
            configured(**{"steps": 5, **wrong})


def test_the_name_of_another_space_is_not_taken(store):
    with pytest.raises(BadInput, match=r"space 'colour' holds vectors of .*ColourEncoder; choose another name"):
        train_autoencoder(store, SHORT, space="colour")


def test_few_pictures_are_refused(store):
    remove(store, where="ordinal >= 199")
    with pytest.raises(BadInput, match="199 pictures are fewer than 200"):
        train_autoencoder(store, SHORT)
    assert store.runs.count("command = 'train'") == 0


def test_pictures_that_are_all_alike_are_refused(tmp_path):
    # Distinct files of one colour: their sizes differ.
    pictures = {f"{row}.png": picture((77, 77, 77), (20 + row, 20)) for row in range(205)}
    intake(tmp_path / "store", Request([str(write_tar(tmp_path / "all.tar", pictures))], encoders=[SPEC], workers=1))
    store = Store.open(tmp_path / "store")
    with pytest.raises(BadInput, match="205 pictures are all alike at 32 pixels"):
        train_autoencoder(store, SHORT)
    assert set(store.spaces()) == {"colour"}
    assert list(store.models.iterdir()) == []


def spoil(store: Store, number: int) -> None:
    """Overwrite the thumbnails of some images with bytes that are no picture."""
    import pyarrow as pa

    rows = store.thumbnails.read(["id"]).slice(0, number)
    bad = pa.array([b"\xff\xd8 no picture"] * number, pa.large_binary())
    store.thumbnails.merge(rows.append_column("thumbnail", bad), update="true")


def test_damaged_thumbnails_are_counted_and_left_out(store):
    spoil(store, 6)
    notes = Notes()
    done = train_autoencoder(store, SHORT, workers=1, progress=notes)
    assert (done.corrupt, done.about["images"], done.rows) == (6, COUNT - 6, COUNT)
    assert any("6 thumbnails are damaged and left out" in note for note in notes.notes)


def test_too_few_that_are_whole_are_refused(store):
    spoil(store, 20)
    with pytest.raises(BadInput, match=r"190 pictures are fewer than 200.*\(20 damaged thumbnails"):
        train_autoencoder(store, SHORT, workers=1)


def test_a_model_that_is_gone_is_named_with_what_helps(learnt):
    space = learnt.space("autoencoder")
    shutil.rmtree(learnt.models)
    with pytest.raises(EncoderUnavailable, match="engine train autoencoder"):
        encoders.load(space.encoder, cache=learnt.path / "nowhere" / "cache").encode([])
    with pytest.raises(BadInput, match=r"named after its model.*engine train autoencoder"):
        encoders.load("autoencoder")


def test_a_model_that_is_gone_or_cut_is_a_problem_with_the_command_that_makes_it_again(learnt):
    space = learnt.space("autoencoder")
    model = space.encoder.partition(":")[2]
    again = (
        "engine train autoencoder --steps 8 --side 32 --seed 0 --reconstruction-weight 1.0 "
        "--classification-weight 1.0 --space autoencoder"
    )
    (learnt.models / "stray.json").write_text("[1]")
    (learnt.models / "stray.safetensors").write_bytes(b"")
    assert verify(learnt).ok
    path = models.weights_path(learnt, model)
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    (problem,) = verify(learnt).problems
    assert problem.endswith(f"or not as it was written; run: {again}")
    shutil.rmtree(learnt.path / "cache")
    with pytest.raises(EncoderUnavailable, match=f"is not as it was written; train it again: {again}"):
        encoder_of(learnt, space).encode([np.zeros((8, 8, 3), np.uint8)])
    path.unlink()
    with pytest.raises(EncoderUnavailable, match=f"model {model!r} is gone.*; train it again: {again}"):
        encoder_of(learnt, space).encode([np.zeros((8, 8, 3), np.uint8)])
    path.write_bytes(whole[:1000])
    done = train_autoencoder(learnt, SHORT, workers=1)
    assert (done.model, done.rows, path.read_bytes()) == (model, 0, whole)
    assert verify(learnt).ok


@pytest.mark.parametrize("what", ["state", "squares", "note"])
def test_a_cache_that_is_not_as_it_was_written_is_made_again(store, what):
    with pytest.raises(Interrupted):
        train_autoencoder(store, SHORT, workers=1, progress=Stops("train", 2))
    (folder,) = (one for one in store.path.glob("cache/training/*") if one.is_dir())
    state, squares, note = (folder / name for name in ("state.safetensors", "pictures.u8", "pictures.json"))
    if what == "state":
        state.write_bytes(state.read_bytes()[:-40] + bytes(40))
    if what == "squares":
        squares.write_bytes(bytes(squares.stat().st_size))
    if what == "note":
        note.write_text('{"corrupt": "all"}')
    notes = Begun()
    train_autoencoder(store, SHORT, workers=1, progress=notes)
    assert ("read thumbnails" in notes.begun) == (what != "state")
    assert not list(store.path.glob("cache/training/*"))


def test_a_training_that_diverges_says_so_and_leaves_nothing(store):
    config = Config(steps=8, batch=32, reconstruction=1e300)
    with pytest.raises(BadInput, match=r"the training diverged at step 0.*give a smaller --reconstruction-weight"):
        train_autoencoder(store, config, workers=1)
    assert (list(store.models.iterdir()), list(store.path.glob("cache/training/*"))) == ([], [])
    assert set(store.spaces()) == {"colour"}


def test_compact_removes_what_stopped_trainings_kept_but_not_of_one_at_work(store):
    root = store.cache / "training"
    for name in ("left", "works"):
        (root / name).mkdir(parents=True)
        (root / name / "pictures.u8").write_bytes(b"x")
    (root / "old.lock").touch()
    with locked(root / "works.lock"):
        compact(store)
    assert sorted(one.name for one in root.iterdir()) == ["works", "works.lock"]


def test_a_folder_for_pictures_that_cannot_be_is_refused_before_the_training(store, tmp_path, capsys):
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(SystemExit) as ended:
            main(["train", "autoencoder", "--steps", "8", "--output", str(bad), "--store", str(store.path)])
        said = capsys.readouterr().err
        assert (ended.value.code, said.count("\n"), "--output DIR" in said) == (2, 1, True)
    assert store.runs.count("command = 'train'") == 0


def test_a_writer_at_work_keeps_the_space_from_moving(store):
    with store.lock(), pytest.raises(StoreBusy, match="space 'autoencoder' is full, but another process"):
        train_autoencoder(store, SHORT, workers=1)
    assert "autoencoder" not in store.spaces()
    assert train_autoencoder(store, SHORT, workers=1).rows == 0


@pytest.fixture
def small_disk(tmp_path):
    """Return a disk of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.parametrize("left", [300_000, 2_000_000, 5_000_000])
def test_a_full_disk_stops_it_with_one_error_and_it_goes_on_when_there_is_space(whole, small_disk, monkeypatch, left):
    monkeypatch.setattr("engine.store.durable.RESERVE", 0)
    store = Store.open(shutil.copytree(whole, small_disk / "store"))
    before = verify(store).spaces
    state = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(state.f_bavail * state.f_frsize - left))
    with pytest.raises(DiskFull, match="is full"):
        train_autoencoder(store, SHORT, workers=1)
    (small_disk / "ballast").unlink()
    assert verify(store).spaces == before
    assert not list(store.path.rglob("*.tmp"))
    assert train_autoencoder(store, SHORT, workers=1).lacking == 0
    assert autoencoder.SPACE in store.spaces()
