"""Labels and splits that come with the data, and which of them counts."""

from __future__ import annotations

import csv
import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import BadInput, EngineError
from engine.ingestion.annotations import (
    Annotations,
    annotate,
    folder_label,
    folder_split,
    label_row,
    read_labels,
    sidecar_label,
)
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_edit import import_labels
from engine.labeling.label_export import export_labels
from engine.select import labels_of, matching
from engine.store import Store
from tests.engine.colour import BLUE, GREEN, GREY, RED, Notes, picture, write_tar

FILES = {
    "train/cat/1.png": picture(RED),
    "train/dog/2.png": picture(GREEN),
    "test/cat/3.png": picture(BLUE),
    "test/dog/broken.png": b"no picture",
    "4.png": picture(GREY),
}


@pytest.fixture
def tar(tmp_path) -> Path:
    return write_tar(tmp_path / "pictures.tar", FILES)


def ingest(tmp_path: Path, csv: str | bytes | None = None, *, source="pictures.tar", name="labels.csv", **options):
    """Ingest without vectors; return the store and the notes."""
    if csv is not None:
        (tmp_path / name).write_bytes(csv.encode() if isinstance(csv, str) else csv)
        options["labels"] = tmp_path / name
    notes = Notes()
    request = Request([str(tmp_path / source)], encoders=["none"], workers=1, **options)
    intake(tmp_path / "store", request, progress=notes)
    return Store.open(tmp_path / "store"), notes.notes


def labels(store: Store, source: str = "given") -> dict[str, str]:
    """Return the label that one source gives to each member."""
    by_image = {row["id"]: row["label"] for row in store.labels.rows(None, f"source = '{source}'")}
    return {row["name"]: by_image[row["image"]] for row in store.members.rows() if row["image"] in by_image}


def splits(store: Store) -> dict[str, str]:
    return {row["name"]: row["split"] for row in store.members.rows(None, "split IS NOT NULL")}


# --- CSV ---


@pytest.mark.parametrize("column", ["image", "name", "file", "filename", "path"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_by_name(tar, tmp_path, column, start):
    csv = f'{start}{column},label\ntrain/cat/1.png,cat\n4.png,"a, ""quoted"" label"\ntest/dog/broken.png,dog\n'
    store, notes = ingest(tmp_path, csv)
    assert labels(store) == {"train/cat/1.png": "cat", "4.png": 'a, "quoted" label'}
    assert (splits(store), notes) == ({}, [])


def test_by_base_name_in_any_order_of_columns_and_with_others(tar, tmp_path):
    store, notes = ingest(tmp_path, "label,width,image\r\ncat,3,1.png\r\ndog,4,2.png\r\n,5,3.png\r\n")
    assert (labels(store), notes) == ({"train/cat/1.png": "cat", "train/dog/2.png": "dog"}, [])


def test_splits(tar, tmp_path):
    store, _ = ingest(tmp_path, "image,label,split\n1.png,cat,train\n2.png,,test\n3.png,cat,\nbroken.png,dog,test\n")
    assert labels(store) == {"train/cat/1.png": "cat", "test/cat/3.png": "cat"}
    assert splits(store) == {"train/cat/1.png": "train", "train/dog/2.png": "test", "test/dog/broken.png": "test"}


def test_splits_without_labels(tar, tmp_path):
    store, _ = ingest(tmp_path, "image,split\n1.png,train\n")
    assert (labels(store), splits(store)) == ({}, {"train/cat/1.png": "train"})


def test_names_that_are_in_no_source_are_counted(tar, tmp_path):
    store, notes = ingest(tmp_path, "image,label\n1.png,cat\nnosuch.png,cat\nother.png,dog\n")
    assert labels(store) == {"train/cat/1.png": "cat"}
    assert notes == ["warning: 2 images named in the labels file are in no source, for instance nosuch.png"]


def test_a_base_name_that_fits_several_images_labels_none_of_them(tmp_path):
    files = {"1.png": picture(RED), "a/1.png": picture(BLUE), "a/2.png": picture(GREEN), "b/2.png": picture(GREY)}
    write_tar(tmp_path / "pictures.tar", files)
    store, notes = ingest(tmp_path, "image,label,split\n1.png,one,train\n2.png,two,test\n")
    assert (labels(store), splits(store)) == ({"1.png": "one"}, {"1.png": "train"})
    (note,) = notes
    assert note.startswith("warning: 2 images named in the labels file fit several images")


def test_a_base_name_of_copies_of_one_image_labels_it(tmp_path):
    write_tar(tmp_path / "pictures.tar", {"a/1.png": picture(RED), "b/1.png": picture(RED)})
    store, notes = ingest(tmp_path, "image,label\n1.png,red\n")
    assert (labels(store), notes) == ({"a/1.png": "red", "b/1.png": "red"}, [])


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("", "columns none"),
        ("image,class\n1.png,cat\n", "columns image, class"),
        ("picture,label\n1.png,cat\n", "columns picture, label"),
        ("image;label\n1.png;cat\n", "columns image;label"),
        ("image,label\n1.png,cat\n2.png,dog\n1.png,dog\n", r"line 4 says dog of 1\.png, an earlier line cat"),
        ("image,label,split\n1.png,cat,train\n1.png,cat,test\n", "line 3 says cat, test of .*earlier line cat, train"),
        ("image,label\n1.png,cat\n1.png,\n", "line 3 says nothing"),
        ("image,label\n,cat\n", "line 2 names no image"),
        ("label,image\ncat\n", "line 2 names no image"),
        ("image,label\nå.png,cat\n".encode("latin-1"), "UTF-8"),
        ("image,label\n".encode("utf-16"), "UTF-8"),
        ('image,label\n1.png,cat\n2.png,"a\nb"\n', r"the class on line 4 of .*, 'a.nb', has a line break"),
        ("image,label\n1.png,a\tb\n", "the class on line 2 of .*control character"),
        (f"image,label\n1.png,{'x' * 201}\n", "the class on line 2 of .* has 201 characters"),
    ],
)
def test_bad_files_are_refused_and_nothing_is_written(tar, tmp_path, csv, message):
    with pytest.raises(BadInput, match=message) as caught:
        ingest(tmp_path, csv)
    assert caught.value.remedy
    assert not (tmp_path / "store").exists()


def test_a_repeated_line_is_no_conflict(tmp_path):
    (tmp_path / "labels.csv").write_text("image,label\n1.png,cat\n1.png,cat\n")
    assert read_labels(tmp_path / "labels.csv") == ({"1.png": ("cat", None)}, [])


@pytest.mark.parametrize("name", ["nosuch.csv", "."])
def test_a_missing_file(tar, tmp_path, name):
    with pytest.raises(BadInput, match="no labels file") as caught:
        ingest(tmp_path, labels=tmp_path / name)
    assert caught.value.remedy
    assert not (tmp_path / "store").exists()


def test_an_unknown_role(tar, tmp_path):
    with pytest.raises(BadInput, match="given, truth"):
        ingest(tmp_path, "image,label\n", labels_role="gospel")
    assert not (tmp_path / "store").exists()


# --- IDX ---


def idx_images(path: Path, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    path.write_bytes(struct.pack(">IIII", 0x803, count, 8, 8) + pixels.tobytes())


def idx_labels(values: list[int]) -> bytes:
    return struct.pack(">II", 0x801, len(values)) + bytes(values)


@pytest.mark.parametrize("name", ["train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz", "labels"])
def test_idx_labels_count_along(tmp_path, name):
    idx_images(tmp_path / "images", 3)
    data = idx_labels([7, 0, 9])
    store, _ = ingest(tmp_path, gzip.compress(data) if name.endswith("gz") else data, source="images", name=name)
    assert labels(store) == {"images/0": "7", "images/1": "0", "images/2": "9"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx_labels([1, 2]), "2 labels.*3 members"),
        (idx_labels([1, 2, 3, 4]), "4 labels.*3 members"),
        (idx_labels([1, 2, 3])[:-1], "cut off"),
        (b"\0\0\x08\x03" + bytes(12), "not an IDX label file"),
        # With a fixed time: processes that share the tests must collect the same ones.
        (gzip.compress(b"image,label\n", mtime=0), "not an IDX label file"),
    ],
)
def test_idx_labels_that_do_not_fit_are_refused(tmp_path, data, message):
    idx_images(tmp_path / "images", 3)
    with pytest.raises(EngineError, match=message):
        ingest(tmp_path, data, source="images", name="labels-idx1-ubyte")
    assert not (tmp_path / "store").exists()


def test_idx_labels_belong_to_one_source(tmp_path):
    idx_images(tmp_path / "images", 3)
    (tmp_path / "labels").write_bytes(idx_labels([1, 2, 3, 1, 2, 3]))
    twice = Request([str(tmp_path / "images")] * 2, encoders=["none"], labels=tmp_path / "labels")
    with pytest.raises(BadInput, match=r"6 labels.*3, 3 members"):
        intake(tmp_path / "store", twice)


# --- folders and sidecars ---


def test_folders(tar, tmp_path):
    store, _ = ingest(tmp_path, labels_from_folders=True, split_from_folders=True)
    assert labels(store) == {"train/cat/1.png": "cat", "train/dog/2.png": "dog", "test/cat/3.png": "cat"}
    assert splits(store) == {
        "train/cat/1.png": "train",
        "train/dog/2.png": "train",
        "test/cat/3.png": "test",
        "test/dog/broken.png": "test",
    }


def test_a_file_counts_before_the_folders(tar, tmp_path):
    csv = "image,label,split\n1.png,tiger,test\n2.png,,\n"
    store, _ = ingest(tmp_path, csv, labels_from_folders=True, split_from_folders=True)
    assert labels(store) == {"train/cat/1.png": "tiger", "train/dog/2.png": "dog", "test/cat/3.png": "cat"}
    assert splits(store)["train/cat/1.png"] == "test"


@pytest.mark.parametrize(
    ("name", "label", "split"),
    [
        ("cat/1.jpg", "cat", None),
        ("Train/cat/1.jpg", "cat", "train"),
        ("cat/validation/1.jpg", "cat", "val"),
        ("data/test/wild cat/1.jpg", "wild cat", "test"),
        ("train/1.jpg", None, "train"),
        ("1.jpg", None, None),
        ("cat/train.jpg", "cat", None),
    ],
)
def test_what_folders_say(name, label, split):
    assert (folder_label(name), folder_split(name)) == (label, split)


def test_sidecars_of_webdataset(tmp_path):
    files = {
        "0.cls": b"7\n",
        "0.png": picture(RED),
        "1.json": json.dumps({"label": "cat", "cls": 3}).encode(),
        "1.png": picture(GREEN),
        "2.json": json.dumps({"label": 0}).encode(),
        "2.png": picture(BLUE),
        "3.json": b"{broken",
        "3.png": picture(GREY),
    }
    write_tar(tmp_path / "pictures.tar", files)
    store, _ = ingest(tmp_path)
    assert labels(store) == {"0.png": "7", "1.png": "cat", "2.png": "0"}


@pytest.mark.parametrize("folder", ["a\nb", "x" * 201])
def test_a_folder_that_cannot_name_a_class_is_refused(tmp_path, folder):
    write_tar(tmp_path / "pictures.tar", {"cat/0.png": picture(RED), f"{folder}/1.png": picture(GREEN)})
    with pytest.raises(BadInput, match=r"a folder of .*pictures\.tar") as caught:
        ingest(tmp_path, labels_from_folders=True)
    assert caught.value.remedy and not (tmp_path / "store").exists()


def test_a_sidecar_that_cannot_name_a_class_leaves_its_image_without_a_label(tmp_path):
    files = {"0.cls": b" cat ", "0.png": picture(RED), "1.cls": b"a\nb", "1.png": picture(GREEN)}
    store, notes = ingest(tmp_path, source=write_tar(tmp_path / "pictures.tar", files).name)
    assert (labels(store), store.images.count()) == ({"0.png": "cat"}, 2)
    (note,) = notes
    assert note.startswith("warning: 1 images have no label") and note.endswith("for instance 1.png")


def test_labels_that_were_exported_come_back(tar, tmp_path):
    said = {"train/cat/1.png": 'O\'Brien "q", c', "train/dog/2.png": "x" * 200, "4.png": "Å"}
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((name, f" {label}") for name, label in said.items())])
    store, _ = ingest(tmp_path, labels=tmp_path / "in.csv")
    assert labels(store) == said
    export_labels(store, tmp_path / "out.csv")
    assert import_labels(store, tmp_path / "out.csv").labels == 3
    assert labels(store, "human") == said


@pytest.mark.parametrize(
    ("sidecar", "label"),
    [
        ({}, None),
        ({"cls": " 3 \n"}, "3"),
        ({"cls": "  "}, None),
        ({"cls": "3", "json": '{"label": "x"}'}, "x"),
        ({"cls": "3", "json": '{"label": "", "cls": 4}'}, "3"),
        ({"cls": "3", "json": '{"label": 4}'}, "3"),
        ({"cls": "3", "json": "{"}, "3"),
        ({"cls": "cat", "json": '{"label": "x"}'}, "cat"),
        ({"cls": " ", "json": '{"label": "x"}'}, "x"),
        ({"json": '{"cls": 0}'}, "0"),
        ({"json": '{"label": "", "cls": "x"}'}, "x"),
        ({"json": '{"label": null, "cls": 2}'}, "2"),
        ({"json": '{"label": [1]}'}, None),
        ({"json": "[1]"}, None),
        ({"json": "{"}, None),
        ({"txt": "a cat"}, None),
    ],
)
def test_what_a_sidecar_says(sidecar, label):
    assert sidecar_label(sidecar) == label


# --- roles, and again ---


def test_truth_is_kept_apart(tar, tmp_path):
    store, _ = ingest(tmp_path, "image,label\n1.png,cat\n", labels_role="truth")
    assert (labels(store, "truth"), labels(store)) == ({"train/cat/1.png": "cat"}, {})
    assert len(matching(store, "label = 'cat'")) == 0
    assert labels_of(store, [row["id"] for row in store.labels.rows()]) == {}


def test_labels_for_images_that_are_there_already_are_a_run(tar, tmp_path):
    store, _ = ingest(tmp_path)
    assert labels(store) == {}
    ingest(tmp_path, "image,label,split\n1.png,cat,train\n2.png,dog,\n")
    assert labels(store) == {"train/cat/1.png": "cat", "train/dog/2.png": "dog"}
    assert splits(store) == {"train/cat/1.png": "train"}
    (run,) = {row["run"] for row in store.labels.rows()}
    assert {row["event"] for row in store.runs.rows() if row["run"] == run} == {"start", "end"}
    ingest(tmp_path, "image,label,split\n1.png,cat,test\n2.png,dog,test\n")
    assert store.labels.count() == 2
    # A split that is known stays.
    assert splits(store) == {"train/cat/1.png": "train", "train/dog/2.png": "test"}


def test_the_same_twice_writes_nothing(tar, tmp_path):
    store, _ = ingest(tmp_path, "image,label\n1.png,cat\n")
    before = sorted(store.labels.rows(), key=str), sorted(store.members.rows(), key=str)
    run = store.begin("test", {})
    digests = [row["digest"] for row in store.sources.rows()]
    assert annotate(store, digests, Annotations({"1.png": ("cat", None)}), run).labels == 0
    assert (sorted(store.labels.rows(), key=str), sorted(store.members.rows(), key=str)) == before


def test_removed_and_rejected_members_get_no_label(tar, tmp_path):
    from engine.remove import remove

    store, _ = ingest(tmp_path)
    remove(store, ["1"])
    ingest(tmp_path, "image,label\n1.png,cat\nbroken.png,dog\n4.png,x\n")
    assert {row["label"] for row in store.labels.rows()} == {"x"}


# --- which label counts ---


def counting(tmp_path: Path, *statements: tuple[str, str, bool]) -> str | None:
    """Return the label that counts after statements (label, source, is or is not) about one image."""
    write_tar(tmp_path / "pictures.tar", {"1.png": picture(RED), "2.png": picture(BLUE)})
    store, _ = ingest(tmp_path)
    image, other = (row["id"] for row in store.images.rows())
    with store.run("labels import", {}) as run:
        rows = [label_row(image, label, source=source, run=run.name, polarity=p) for label, source, p in statements]
        rows.append(label_row(other, "other", source="human", run=run.name))
        store.labels.merge(pa.Table.from_pylist(rows, store.labels.schema))
    found = labels_of(store, [image, other])
    assert found.pop(other) == "other"
    label = found.get(image)
    # The condition and the answer say the same.
    hits = matching(store, "label IS NULL" if label is None else f"label = '{label}'")
    assert [one.tobytes() for one in hits] == [image]
    return label


YES, NO = True, False


@pytest.mark.parametrize(
    ("statements", "label"),
    [
        ([("a", "given", YES)], "a"),
        ([("a", "given", YES), ("b", "human", YES)], "b"),
        ([("a", "given", YES), ("b", "exemplar", YES)], "b"),
        ([("a", "exemplar", YES), ("b", "human", YES)], "b"),
        ([("a", "given", YES), ("b", "given", YES)], None),
        ([("a", "human", YES), ("b", "human", YES), ("c", "given", YES)], None),
        ([("a", "given", YES), ("a", "human", YES)], "a"),
        ([("a", "given", YES), ("a", "human", NO)], None),
        ([("a", "given", YES), ("b", "given", YES), ("a", "human", NO)], "b"),
        ([("a", "exemplar", YES), ("b", "given", YES), ("a", "human", NO)], "b"),
        ([("a", "given", YES), ("b", "human", NO)], "a"),
        ([("a", "given", YES), ("a", "given", NO)], "a"),
        ([("a", "truth", YES)], None),
        ([("a", "truth", YES), ("b", "given", YES)], "b"),
        ([("a", "some-run", YES)], None),
        ([("a", "human", NO)], None),
        ([("it's", "given", YES)], "it's"),
    ],
)
def test_precedence_and_veto(tmp_path, statements, label):
    if label == "it's":
        write_tar(tmp_path / "pictures.tar", {"1.png": picture(RED)})
        store, _ = ingest(tmp_path, "image,label\n1.png,it's\n")
        assert len(matching(store, "label = 'it''s'")) == 1
    else:
        assert counting(tmp_path, *statements) == label


def test_clusters_and_groups_are_no_classes(tmp_path):
    write_tar(tmp_path / "pictures.tar", {"1.png": picture(RED)})
    store, _ = ingest(tmp_path)
    (image,) = (row["id"] for row in store.images.rows())
    row = {**label_row(image, "7", source="given", run="r"), "kind": "cluster"}
    store.labels.merge(pa.Table.from_pylist([row], store.labels.schema))
    assert labels_of(store, [image]) == {}
