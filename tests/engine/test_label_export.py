"""Every export format, read back by hand: which image has which label, and that the bytes are those of the source."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.errors import BadInput, SourceError
from engine.ingestion.annotations import read_labels
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.exports import FORMATS
from engine.labeling.exports.pictures import free_path, harmless
from engine.labeling.label_edit import import_labels, set_label
from engine.labeling.label_export import export_labels, read_indices
from engine.labeling.labels import append, truth
from engine.select import all_labels
from engine.store import Store
from engine.store.names import resolve
from engine.store.vectors import id_array
from tests.engine.colour import picture, write_tar

ROOT = Path(__file__).parents[2]
# Names that hide, that a shell or another disk takes for something else, and two that are one file on some disks. Those
# that would leave the folder are rejected when they come in.
FILES = [
    "a/.hidden.png", "x\\y\\a|b.png", "a/...png", "$(rm -r x).png", "one/7.png", "two/7.PNG", "no ending", "ä\n.png",
    "l" * 90 + "/" + "ü" * 120 + ".png", "plain.jpg",
]  # fmt: skip
CLASSES = {"rhino": [0, 1, 2, 4, 5, 9], "bag, big": [3, 6, 7, 8]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    data = [picture((20 * place, 200, 60), (8 + place, 8)) for place in range(len(FILES))]
    data[9] = picture((1, 2, 3), (30, 20), "JPEG")
    tar = write_tar(folder / "pile.tar", dict(zip(FILES, data, strict=True)) | {"unlabelled.png": picture((9, 9, 9))})
    intake(folder / "store", Request([str(tar)], encoders=["none"], workers=1))
    store = Store.open(folder / "store")
    ids = [hashlib.sha256(one).digest() for one in data]
    with store.run("label", {"labeler": "nearest", "space": "clip", "threshold": 0.7, "classes": list(CLASSES)}) as run:
        for name, places in CLASSES.items():
            some = np.frombuffer(b"".join(ids[place] for place in places), np.uint8).reshape(-1, 32)
            scores = np.array([0.7 + place / 100 for place in places])
            append(store, run.name, ids=some, labels=[name] * len(places), source="run", scores=scores)
        run.result.update(labelled=len(data), classes={name: {} for name in CLASSES})
    return folder, run.name, data


@pytest.fixture
def run(made) -> str:
    return made[1]


@pytest.fixture
def data(made) -> list[bytes]:
    return made[2]


@pytest.fixture
def store(made) -> Store:
    """Return the store of all tests of this file; none of them writes into it."""
    return Store.open(made[0] / "store")


@pytest.fixture
def labels(data) -> dict[bytes, str]:
    """Return the label that each image must have, by its bytes."""
    return {data[place]: name for name, places in CLASSES.items() for place in places}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- lists ---


def test_csv_lists_every_image_and_can_be_imported(store, run, tmp_path):
    done = export_labels(store, tmp_path / "l.csv", run=run)
    assert (done.run, done.rows, done.labelled, done.without) == (run, 11, 10, 0)
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [row["name"] for row in store.members.rows(["name"])]
    expected = {place: name for name, places in CLASSES.items() for place in places}
    assert [row["label"] for row in rows] == [expected[place] for place in range(10)] + [""]
    assert [row["score"] for row in rows[:2]] == ["0.7", "0.71"]
    assert rows[10]["score"] == ""
    assert [bytes.fromhex(row["id"]) for row in rows] == [row["image"] for row in store.members.rows(["image"])]
    assert read_labels(tmp_path / "l.csv")[0]["plain.jpg"] == ("rhino", None)
    assert len(truth(store, tmp_path / "l.csv")) == 10


def test_a_class_with_a_comma_is_named_in_quotes(store, run, engine, tmp_path):
    asked = ["labels", "export", "--run", run, "--output", tmp_path / "l.csv", "--json", "--store", store.path]
    done = json.loads(engine(*asked, "--classes", '"bag, big", rhino').stdout)
    assert done["classes"] == ["bag, big", "rhino"]
    done = engine(*asked, "--classes", '"bag, big', check=False)
    assert (done.returncode, json.loads(done.stdout)["error"]["kind"]) == (2, "BadInput")


def test_what_counts_is_exported_where_no_run_is_named(store, run, tmp_path):
    shutil.copytree(store.path, tmp_path / "copy")
    copy = Store.open(tmp_path / "copy")
    export_labels(copy, tmp_path / "l.csv", run=run)
    assert export_labels(copy, tmp_path / "l2.csv").labelled == 0
    import_labels(copy, tmp_path / "l.csv")
    set_label(copy, "unlabelled", "rhino")
    assert export_labels(copy, tmp_path / "l2.csv").labelled == 11


def test_parquet_says_what_the_csv_says(store, run, tmp_path):
    export_labels(store, tmp_path / "l.parquet", run=run, form="parquet")
    table = pq.read_table(tmp_path / "l.parquet")
    export_labels(store, tmp_path / "l.csv", run=run)
    with (tmp_path / "l.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert table.column_names == ["image", "label", "score", "id"]
    assert [[str("" if v is None else v) for v in row.values()] for row in table.to_pylist()] == [
        list(row.values()) for row in rows
    ]
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert (about["run"], json.loads(about["classes"])) == (run, list(CLASSES))


def test_parquet_with_images_holds_the_bytes(store, run, tmp_path, labels):
    done = export_labels(store, tmp_path / "l.parquet", run=run, form="parquet", images=True)
    assert (done.rows, done.without) == (10, 1)
    table = pq.read_table(tmp_path / "l.parquet")
    assert {row["image"]["bytes"]: row["label"] for row in table.to_pylist()} == labels
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"} and list(features) == table.column_names


def test_onehot_vectors_of_all_images(store, run, tmp_path):
    export_labels(store, tmp_path / "l.csv", run=run, form="onehot")
    lines = (tmp_path / "l.csv").read_text().splitlines()
    assert lines[0] == "image,label"
    assert lines[-1] == 'unlabelled.png,"[0.0, 0.0]"'
    assert lines[-2] == 'plain.jpg,"[1.0, 0.0]"'


def test_onehot_in_the_order_of_a_list(store, run, tmp_path):
    (tmp_path / "test_set.csv").write_text("\ufeffIndex,more\nunlabelled,1\n@9,2\nno ending,3\n@9,4\n")
    done = export_labels(
        store, tmp_path / "l.csv", run=run, form="onehot", indices=tmp_path / "test_set.csv",
        classes=["bag, big", "rhino"],
    )  # fmt: skip
    assert (done.rows, done.labelled) == (4, 3)
    with (tmp_path / "l.csv").open(newline="") as file:
        rows = [(row["image"], json.loads(row["label"])) for row in csv.DictReader(file)]
    assert rows == [("unlabelled", [0, 0]), ("@9", [0, 1]), ("no ending", [1, 0]), ("@9", [0, 1])]
    # A class that is not asked for is no label.
    done = export_labels(store, tmp_path / "l.csv", run=run, form="onehot", classes=["rhino"])
    with (tmp_path / "l.csv").open(newline="") as file:
        vectors = [json.loads(row["label"]) for row in csv.DictReader(file)]
    assert vectors == [[float(place in CLASSES["rhino"])] for place in range(11)]
    assert (done.rows, done.labelled) == (11, 6)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("3048\n6775\n", ["3048", "6775"]),
        ("index\n3048\n\n6775\n", ["3048", "6775"]),
        (",label\n5,x\n3,y\n", ["5", "3"]),
        ('image,x\n"a, b",1\n', ["a, b"]),
        ("id:0123456789\n", ["id:0123456789"]),
    ],
)
def test_a_list_of_images(tmp_path, text, names):
    (tmp_path / "i.csv").write_text(text)
    assert read_indices(tmp_path / "i.csv").to_pylist() == names


# --- pictures ---


def test_folders_hold_the_bytes_and_nothing_leaves_them(store, run, tmp_path, labels):
    before = {path.name for path in tmp_path.iterdir()}
    done = export_labels(store, tmp_path / "out", run=run, form="folder")
    assert (done.rows, done.without) == (10, 1)
    found = files(tmp_path / "out")
    assert {content: name.partition("/")[0] for name, content in found.items()} == labels
    assert {path.name for path in tmp_path.iterdir()} == before | {"out"}
    names = {name.partition("/")[2] for name in found}
    assert all(harmless(name) == name and len(name.encode()) < 256 and "/" not in name for name in names)
    (second,) = (f"7-{row['id'].hex()}.png" for row in store.images.rows() if row["width"] == 13)
    assert names == {
        "hidden.png", "a_b.png", "image.png", "$(rm -r x).png", "7.png", second, "no ending.png", "ä_.png",
        "ü" * 80 + ".png", "plain.jpg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("x/../../../escaped.png", "escaped.png"),
        ("/etc/passwd.png", "passwd.png"),
        ("..\\..\\evil.png", "evil.png"),
        ("C:evil.png", "C_evil.png"),
        ("a/..png", "image.png"),
        ("..", "image.png"),
        ("", "image.png"),
        ("a/x.png/", "image.png"),
        ("a\0b.png", "a_b.png"),
        ("photo.JPG", "photo.jpg"),
        ("photo.txt", "photo.png"),
        ("photo", "photo.png"),
    ],
)
def test_a_file_name_stays_in_its_folder(tmp_path, name, file):
    row = {"name": name, "format": "PNG", "id": bytes(32)}
    assert free_path(tmp_path, row) == tmp_path / file
    (tmp_path / file).touch()
    assert free_path(tmp_path, row).parent == tmp_path and not free_path(tmp_path, row).exists()


def test_the_same_name_twice_in_a_class(store, tmp_path):
    shutil.copytree(store.path, tmp_path / "copy")
    copy = Store.open(tmp_path / "copy")
    more = {"three/7.png": picture((77, 7, 7)), "four/7.png": picture((78, 7, 7))}
    tar = write_tar(tmp_path / "more.tar", more)
    intake(copy.path, Request([str(tar)], encoders=["none"], workers=1))
    for name in (*more, "one/7.png"):
        set_label(copy, name, "x")
    export_labels(copy, tmp_path / "out", form="folder")
    found = files(tmp_path / "out" / "x")
    assert len(found) == 3 and {*more.values()} < {*found.values()}
    long = {f"7-{hashlib.sha256(content).hexdigest()}.png" for content in found.values()}
    assert len(found.keys() & long) == 2 and "7.png" in found


def test_bare_pixels_become_pictures(tmp_path):
    pixels = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    header = b"\0\0\x08\x03" + b"".join(int(n).to_bytes(4, "big") for n in pixels.shape)
    (tmp_path / "x-idx3-ubyte").write_bytes(header + pixels.tobytes())
    intake(tmp_path / "s", Request([str(tmp_path / "x-idx3-ubyte")], encoders=["none"], workers=1))
    store = Store.open(tmp_path / "s")
    set_label(store, "@1", "x")
    export_labels(store, tmp_path / "out", form="folder")
    from PIL import Image

    (path,) = (tmp_path / "out" / "x").iterdir()
    np.testing.assert_array_equal(np.asarray(Image.open(path)), pixels[1])


def test_webdataset_shards(store, run, tmp_path, labels, monkeypatch):
    monkeypatch.setattr("engine.labeling.exports.webdataset.SHARD_IMAGES", 4)
    done = export_labels(store, tmp_path / "out", run=run, form="webdataset", classes=["bag, big", "rhino"])
    shards = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in shards] == [f"shard-{n:06d}.tar" for n in range(3)]
    samples: dict[str, dict[str, bytes]] = {}
    for shard in shards:
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                samples.setdefault(key, {})[ending] = tar.extractfile(member).read()
    assert list(samples) == [f"{n:09d}" for n in range(10)]
    read = {}
    for sample in samples.values():
        about = json.loads(sample.pop("json"))
        assert ["bag, big", "rhino"][int(sample.pop("cls"))] == about["label"]
        ((ending, content),) = sample.items()
        # Nine are PNG, one is a JPEG.
        assert ending == "png"
        assert about["id"] == hashlib.sha256(content).hexdigest() and about["score"] >= 0.7
        read[content] = about["label"]
    assert (read, done.rows, done.without) == (labels, 10, 1)


def test_shards_that_are_ingested_bring_the_labels_they_were_written_with(store, run, tmp_path, labels):
    export_labels(store, tmp_path / "out", run=run, form="webdataset")
    intake(tmp_path / "again", Request([str(tmp_path / "out" / "shard-000000.tar")], encoders=["none"], workers=1))
    found = all_labels(Store.open(tmp_path / "again")).to_pylist()
    expected = {hashlib.sha256(content).digest(): name for content, name in labels.items()}
    assert {row["id"]: row["label"] for row in found} == expected


def test_coco_of_all_images(store, run, tmp_path):
    assert export_labels(store, tmp_path / "l.json", run=run, form="coco").rows == 11
    found = json.loads((tmp_path / "l.json").read_text())
    names = {one["id"]: one["name"] for one in found["categories"]}
    assert names == {1: "rhino", 2: "bag, big"}
    images = {one["id"]: one for one in found["images"]}
    assert [images[place]["file_name"] for place in range(1, 12)] == [r["name"] for r in store.members.rows(["name"])]
    said = {one["image_id"] - 1: names[one["category_id"]] for one in found["annotations"]}
    assert said == {place: name for name, places in CLASSES.items() for place in places}
    for one in found["annotations"]:
        image = images[one["image_id"]]
        assert one["bbox"] == [0, 0, image["width"], image["height"]]
        assert one["area"] == image["width"] * image["height"]
    assert [one["id"] for one in found["annotations"]] == list(range(1, 11))
    assert found["annotations"][0]["score"] == 0.7


def test_coco_with_images(store, run, tmp_path, labels):
    done = export_labels(store, tmp_path / "out", run=run, form="coco", images=True)
    assert (done.rows, done.without) == (10, 1)
    found = json.loads((tmp_path / "out" / "labels.json").read_text())
    names = {one["id"]: one["name"] for one in found["categories"]}
    said = {one["image_id"]: names[one["category_id"]] for one in found["annotations"]}
    data = tmp_path / "out" / "data"
    assert {(data / one["file_name"]).read_bytes(): said[one["id"]] for one in found["images"]} == labels
    assert len(list(data.iterdir())) == 10


# --- nothing half-written ---


def test_sources_must_be_there(made, tmp_path, run):
    shutil.copytree(made[0] / "store", tmp_path / "copy")
    copy = Store.open(tmp_path / "copy")
    (tmp_path / "out").mkdir()
    moved = (made[0] / "pile.tar").rename(made[0] / "moved.tar")
    try:
        before = sorted(tmp_path.iterdir())
        for form, images in (("folder", False), ("webdataset", False), ("coco", True), ("parquet", True)):
            with pytest.raises(SourceError, match="which is gone") as caught:
                export_labels(
                    copy, tmp_path / (form if form == "parquet" else "out"), run=run, form=form, images=images
                )
            assert "engine relocate" in caught.value.remedy
        # What lists needs no source.
        assert export_labels(copy, tmp_path / "l.csv", run=run).rows == 11
        (tmp_path / "l.csv").unlink()
        # Other bytes under the old name: the image is not what it was.
        write_tar(made[0] / "pile.tar", {"x.png": picture((1, 1, 1))})
        with pytest.raises(SourceError, match="10 of 10 images are no longer what they were"):
            export_labels(copy, tmp_path / "out", run=run, form="folder")
        assert sorted(tmp_path.iterdir()) == before
        assert not any((tmp_path / "out").iterdir())
    finally:
        moved.rename(made[0] / "pile.tar")


@pytest.mark.parametrize("form", FORMATS)
def test_a_failure_leaves_what_was_there(store, run, tmp_path, monkeypatch, form):
    (tmp_path / "l").write_text("what was there") if form not in ("folder", "webdataset") else None
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    places = ("csv_file.tables", "parquet.tables", "onehot.tables", "folder.pictures", "webdataset.pictures")
    # All of them first: one that is imported later would take another's `full` for its own, and keep it.
    for place in places:
        import_module(f"engine.labeling.exports.{place.partition('.')[0]}")
    for place in places:
        monkeypatch.setattr(f"engine.labeling.exports.{place}", full)
    monkeypatch.setattr("engine.labeling.exports.coco._append", full)
    with pytest.raises(OSError, match="No space"):
        export_labels(store, tmp_path / "l", run=run, form=form)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# The process kills itself at its fourth picture.
KILLED = """
import os, signal, sys
from itertools import count
import engine
from engine.labeling.exports import pictures

def deadly(member, real=pictures._file, seen=count()):
    if next(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(member)

pictures._file = deadly
engine.open(sys.argv[1]).labels.export(sys.argv[2], run=sys.argv[4], form=sys.argv[3], images=sys.argv[5] == "1")
"""


@pytest.mark.parametrize(
    ("form", "images"), [("folder", False), ("webdataset", False), ("coco", True), ("parquet", True)]
)
def test_an_export_that_is_killed_leaves_nothing_under_its_name(store, run, tmp_path, form, images):
    (tmp_path / "other").touch()
    command = [sys.executable, "-c", KILLED, store.path, tmp_path / "out", form, run, int(images)]
    for _ in range(2):
        killed = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        # What it left is hidden, and goes with the next of the same name.
        left = {path.name for path in tmp_path.iterdir()} - {"other"}
        assert len(left) == 1 and left.pop().startswith(".out.")
    assert export_labels(store, tmp_path / "out", run=run, form=form, images=images).rows == 10
    assert {path.name for path in tmp_path.iterdir()} == {"other", "out"}


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        ("l.csv", {"form": "xlsx"}, "csv, parquet, onehot"),
        ("l.csv", {"images": True}, "holds no pictures"),
        ("l.csv", {"form": "onehot", "images": True}, "holds no pictures"),
        ("new", {"form": "folder", "indices": Path("i.csv")}, "--indices lists"),
        ("no/l.csv", {}, "no folder"),
        (".", {}, "is a folder"),
        (".", {"form": "folder"}, "is there already"),
        ("i.csv", {"form": "webdataset"}, "is there already"),
        ("l.csv", {"run": "nosuch"}, "no run that labelled"),
        ("l.csv", {"classes": ["rhino", "cat"]}, "no class 'cat'"),
        ("l.csv", {"classes": ["rhino", "rhino"]}, "names a class twice"),
        ("l.csv", {"indices": Path("none.csv")}, "no file none.csv"),
        ("l.csv", {"indices": Path("i.csv")}, "'nobody'"),
        ("l.csv", {"indices": Path("two.csv")}, "has the columns a, b"),
        ("l.csv", {"indices": Path("empty.csv")}, "names no image"),
    ],
)
def test_what_cannot_be_exported(store, run, tmp_path, monkeypatch, output, options, message):
    monkeypatch.chdir(tmp_path)
    for name, text in (("i.csv", "index\nplain\nnobody\n"), ("two.csv", "a,b\n1,2\n"), ("empty.csv", "index\n")):
        Path(name).write_text(text)
    before = files(tmp_path)
    with pytest.raises(BadInput, match=message) as caught:
        export_labels(store, Path(output), **({"run": run} | options))
    assert caught.value.remedy
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["../out", "a/b", ".", "..", "a:b", " x", "x\n", "l" * 256])
def test_a_class_that_can_be_no_folder(store, tmp_path, name):
    shutil.copytree(store.path, tmp_path / "copy")
    copy = Store.open(tmp_path / "copy")
    ids = id_array(copy.images.read(["id"])["id"])[:1]
    with copy.run("test", {}) as run:
        append(copy, run.name, ids=ids, labels=[name], source="human")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInput, match="cannot be the name of a folder"):
        export_labels(copy, tmp_path / "out", form="folder")
    assert sorted(tmp_path.iterdir()) == before
    assert export_labels(copy, tmp_path / "out", form="webdataset").rows == 1


def test_the_command(store, run, engine, tmp_path):
    done = engine("labels", "export", "--run", run, "--format", "folder", "--output", "out", "--store", store.path)
    assert done.stdout == "10 images, 10 of them labelled, in out\n"
    assert done.stderr == "classes: rhino, bag, big\n1 image left out, without a label\n"
    told = engine("labels", "export", "--run", run, "--output", "l.csv", "--classes", "rhino", "--json",
                  "--store", store.path)  # fmt: skip
    assert json.loads(told.stdout) == {
        "run": run, "rows": 11, "labelled": 6, "without": 0, "classes": ["rhino"], "path": "l.csv"
    }  # fmt: skip
    assert resolve(store, "plain")
