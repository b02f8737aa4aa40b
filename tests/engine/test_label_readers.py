"""The exports as the formats' own readers see them: every picture, every label. One that is not there is skipped."""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_export import export_labels
from engine.labeling.labels import append
from engine.store import Store
from tests.engine.colour import picture, write_tar

CLASSES = ("red panda", "Ära", "bag, big")
PLACES = range(9)


def needs(name: str) -> pytest.MarkDecorator:
    why = f"{name} is not installed: pip install -c constraints.txt -e '.[readers]'"
    return pytest.mark.skipif(find_spec(name) is None, reason=why)


def colour(place: int) -> tuple[int, int, int]:
    return (25 * place, 200 - 20 * place, 60)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Store, str]:
    """Return a store of nine labelled pictures of two formats, one without a label, and the run that labelled them."""
    folder = tmp_path_factory.mktemp("readers")
    forms = ["JPEG" if place % 3 == 0 else "PNG" for place in PLACES]
    data = [picture(colour(place), (8 + place, 9), form) for place, form in zip(PLACES, forms, strict=True)]
    names = [f"{place % 2}/{place}.{form.lower()}" for place, form in zip(PLACES, forms, strict=True)]
    tar = write_tar(folder / "pile.tar", dict(zip(names, data, strict=True)) | {"other.png": picture((1, 1, 1))})
    intake(folder / "store", Request([str(tar)], encoders=["none"], workers=1))
    store = Store.open(folder / "store")
    ids = np.frombuffer(b"".join(hashlib.sha256(one).digest() for one in data), np.uint8).reshape(-1, 32)
    with store.run("label", {"labeler": "nearest", "space": "clip", "threshold": 0.7, "classes": list(CLASSES)}) as run:
        labels = [CLASSES[place % 3] for place in PLACES]
        append(store, run.name, ids=ids, labels=labels, source="run", scores=np.full(len(ids), 0.75))
        run.result.update(labelled=len(ids), classes={name: {} for name in CLASSES})
    return store, run.name


@pytest.fixture
def exported(made, tmp_path):
    """Return a function that exports in a format and returns where."""

    def export(name: str, form: str, *, images: bool = False) -> Path:
        store, run = made
        export_labels(store, tmp_path / name, run=run, form=form, images=images)
        return tmp_path / name

    return export


def assert_all(found: list[tuple[Image.Image, str]]) -> None:
    """Compare pictures and labels as they were read with those that were made: the width tells which picture it is."""
    assert sorted(image.size for image, _ in found) == [(8 + place, 9) for place in PLACES]
    for image, label in found:
        place = image.width - 8
        assert label == CLASSES[place % 3]
        mean = np.asarray(image.convert("RGB"), np.float64).mean(axis=(0, 1))
        np.testing.assert_allclose(mean, colour(place), atol=3)


@needs("torchvision")
def test_torchvision_reads_the_folders(exported):
    from torchvision.datasets import ImageFolder

    found = ImageFolder(str(exported("out", "folder")))
    assert found.classes == sorted(CLASSES)
    assert_all([(image, found.classes[code]) for image, code in found])


@needs("datasets")
def test_datasets_reads_the_folders(exported, tmp_path):
    from datasets import load_dataset

    loaded = load_dataset("imagefolder", data_dir=str(exported("out", "folder")), cache_dir=str(tmp_path / "cache"))
    rows = loaded["train"]
    names = rows.features["label"].names
    assert_all([(row["image"], names[row["label"]]) for row in rows])


@needs("datasets")
def test_datasets_reads_parquet_with_the_pictures(exported, tmp_path):
    from datasets import load_dataset

    path = exported("l.parquet", "parquet", images=True)
    loaded = load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.column_names == ["image", "label", "score", "id"]
    assert_all([(row["image"], row["label"]) for row in loaded])
    assert set(loaded["score"]) == {0.75}


@needs("datasets")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_datasets_reads_the_lists(exported, tmp_path, form):
    from datasets import load_dataset

    path = exported(f"l.{form}", form)
    loaded = load_dataset(form, data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]
    labels = {row["image"]: row["label"] or None for row in loaded}
    assert len(labels) == len(PLACES) + 1 and labels.pop("other.png") is None
    assert all(label == CLASSES[int(Path(name).stem) % 3] for name, label in labels.items())


@needs("datasets")
def test_datasets_reads_the_shards(exported, tmp_path):
    from datasets import load_dataset

    shards = str(exported("out", "webdataset") / "*.tar")
    loaded = load_dataset("webdataset", data_files=shards, cache_dir=str(tmp_path / "cache"))["train"]
    found = [(row["png"], row["json"]["label"], row["cls"]) for row in loaded]
    assert all(CLASSES[code] == label for _, label, code in found)
    assert_all([(image, label) for image, label, _ in found])


@needs("webdataset")
def test_webdataset_reads_the_shards(exported):
    import webdataset

    shards = [str(path) for path in sorted(exported("out", "webdataset").iterdir())]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert all(CLASSES[sample["cls"]] == sample["json"]["label"] for sample in samples)
    assert_all([(sample["png"], sample["json"]["label"]) for sample in samples])


@needs("pycocotools")
def test_pycocotools_reads_coco(exported):
    from pycocotools.coco import COCO

    folder = exported("out", "coco", images=True)
    found = COCO(str(folder / "labels.json"))
    pictures = {one["id"]: Image.open(folder / "data" / one["file_name"]) for one in found.loadImgs(found.getImgIds())}
    names = {one["id"]: one["name"] for one in found.loadCats(found.getCatIds())}
    said = found.loadAnns(found.getAnnIds())
    assert [names[place] for place in sorted(names)] == list(CLASSES)
    assert all((one["bbox"][2], one["bbox"][3]) == pictures[one["image_id"]].size for one in said)
    assert_all([(pictures[one["image_id"]], names[one["category_id"]]) for one in said])


def test_the_pictures_are_told_apart():
    # What the others rest on: a wrong label and a missing picture are seen.
    found = [(Image.open(io.BytesIO(picture(colour(place), (8 + place, 9)))), CLASSES[place % 3]) for place in PLACES]
    assert_all(found)
    for wrong in (found[1:], [(found[0][0], CLASSES[1]), *found[1:]]):
        with pytest.raises(AssertionError):
            assert_all(wrong)
