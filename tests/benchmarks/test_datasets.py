"""Data sets: found, read, downloaded from a server of our own, refused; none of them is replaced by another."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.datasets import DATASETS, Place, Unavailable, dataset
from benchmarks.datasets.cifar10 import Cifar10
from benchmarks.datasets.cifar100_subset import SUBSETS
from benchmarks.datasets.digests import known_digest
from benchmarks.datasets.download import Remote, fetch
from benchmarks.datasets.fashion_mnist import FashionMnist
from benchmarks.suites.measures import named_labels
from engine.errors import BadInput
from engine.progress import Silent
from engine.sources import open_source

BODY = bytes(range(256)) * 40
RIGHT = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data", tmp_path / "scratch")


class Files(BaseHTTPRequestHandler):
    """Serves `BODY`, from where it is asked to; under /short it breaks off, under /plain it knows no ranges."""

    asked: list[str | None] = []  # noqa: RUF012 — emptied by the fixture

    def do_GET(self) -> None:
        given = self.headers.get("Range")
        self.asked.append(given)
        start = int(given.removeprefix("bytes=").rstrip("-")) if given and "plain" not in self.path else 0
        if start >= len(BODY):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        self.wfile.write(BODY[start : 5000 if "short" in self.path else None])

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    Files.asked = []
    with HTTPServer(("127.0.0.1", 0), Files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_download_goes_on_where_it_stopped(site, tmp_path):
    target = tmp_path / "folder" / "file.bin"
    with pytest.raises(Unavailable, match=r"arrived.*goes on where it stopped"):
        fetch(Remote(f"{site}/short/file.bin", RIGHT), target, Silent())
    assert not target.exists() and target.with_name("file.bin.part").stat().st_size == 5000
    fetch(Remote(f"{site}/file.bin", RIGHT), target, Silent())
    assert target.read_bytes() == BODY
    assert Files.asked == [None, "bytes=5000-"]
    assert [one.name for one in target.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("have", [BODY[:100], BODY], ids=["a part", "all"])
@pytest.mark.parametrize("way", ["", "/plain"])
def test_what_is_there_already_counts(site, tmp_path, have, way):
    target = tmp_path / "file.bin"
    target.with_name("file.bin.part").write_bytes(have)
    assert fetch(Remote(f"{site}{way}/file.bin", RIGHT), target, Silent()).read_bytes() == BODY


def test_other_bytes_are_refused_and_not_kept(site, tmp_path):
    with pytest.raises(BadInput, match="not md5:0000"):
        fetch(Remote(f"{site}/file.bin", "md5:0000"), tmp_path / "file.bin", Silent())
    assert list(tmp_path.iterdir()) == []


def test_a_download_of_other_bytes_does_not_stop_a_suite(site, place, monkeypatch):
    monkeypatch.setattr(Cifar10, "remote", Remote(f"{site}/cifar-10-binary.tar.gz", "md5:0000"))
    with pytest.raises(Unavailable, match="not md5:0000; the file changed or was damaged"):
        dataset("cifar10").find(replace(place, download=True))


def test_a_server_that_is_not_there_is_said(tmp_path):
    with pytest.raises(Unavailable, match=r"cannot be downloaded"):
        fetch(Remote("http://127.0.0.1:9/file.bin", RIGHT), tmp_path / "file.bin", Silent())


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits", "sample"}))
def test_what_is_not_there_says_what_to_do(name, place, monkeypatch):
    monkeypatch.setattr(FashionMnist, "folders", ())
    with pytest.raises(Unavailable) as error:
        dataset(name).find(place)
    assert error.value.remedy


def test_a_name_that_is_none_lists_those_that_are():
    with pytest.raises(BadInput, match=r"no data set 'cifar11'.*fashion-mnist"):
        dataset("cifar11")


def idx(folder: Path, split: str, pictures: np.ndarray, labels: list[int]) -> None:
    sizes = b"".join(side.to_bytes(4, "big") for side in pictures.shape)
    for name, data in {
        f"{split}-images-idx3-ubyte.gz": b"\0\0\x08\x03" + sizes + pictures.tobytes(),
        f"{split}-labels-idx1-ubyte.gz": b"\0\0\x08\x01" + len(labels).to_bytes(4, "big") + bytes(labels),
    }.items():
        (folder / name).write_bytes(gzip.compress(data))


def test_idx_files_come_with_labels_by_role(place):
    folder = place.data / "fashion-mnist"
    folder.mkdir(parents=True)
    idx(folder, "train", np.zeros((3, 4, 4), np.uint8), [0, 9, 0])
    idx(folder, "t10k", np.ones((2, 4, 4), np.uint8), [5, 1])
    found = dataset("fashion-mnist").find(place)
    assert [one.name for one in found.sources] == ["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"]
    assert found.pixels == "as found: not the files that were published"
    assert found.labels["given"].read_text().splitlines() == [
        "image,label,split",
        "train-images-idx3-ubyte/0,T-shirt/top,train",
        "train-images-idx3-ubyte/1,Ankle boot,train",
        "train-images-idx3-ubyte/2,T-shirt/top,train",
    ]
    assert found.labels["truth"].read_text().splitlines()[1:] == [
        "t10k-images-idx3-ubyte/0,Sandal,test",
        "t10k-images-idx3-ubyte/1,Trouser,test",
    ]
    # The names are those that the sources give.
    names = {name for one in found.sources for _, name in open_source(one).names()}
    assert names == set(named_labels(found))


@pytest.fixture
def fashion(place, monkeypatch) -> Path:
    """A folder of four good IDX files, of 3 and 2 pictures."""
    monkeypatch.setattr(FashionMnist, "folders", ())
    folder = place.data / "fashion-mnist"
    folder.mkdir(parents=True)
    idx(folder, "train", np.zeros((3, 4, 4), np.uint8), [0, 9, 0])
    idx(folder, "t10k", np.ones((2, 4, 4), np.uint8), [5, 1])
    return folder


def test_idx_files_of_the_publisher_are_told_from_others(place, fashion, monkeypatch):
    files = [fashion / one.name for one in FashionMnist.remotes]
    right = [Remote(f"x/{one.name}", f"md5:{hashlib.md5(one.read_bytes()).hexdigest()}") for one in files]
    monkeypatch.setattr(FashionMnist, "remotes", right)
    assert dataset("fashion-mnist").find(place).pixels == "as published"
    idx(fashion, "t10k", np.full((2, 4, 4), 2, np.uint8), [5, 1])
    assert dataset("fashion-mnist").find(place).pixels == "as found: not the files that were published"
    # Those of a package are compressed anew.
    monkeypatch.setattr(FashionMnist, "folders", (fashion,))
    assert dataset("fashion-mnist").find(place).pixels == "as published"


@pytest.mark.parametrize("given", [[0, 9], [0, 9, 0, 0]], ids=["too few", "too many"])
def test_labels_are_as_many_as_pictures(place, fashion, given):
    idx(fashion, "train", np.zeros((3, 4, 4), np.uint8), given)
    with pytest.raises(Unavailable, match=rf"has {len(given)} labels for the 3 pictures of train-images"):
        dataset("fashion-mnist").find(place)


def test_a_label_of_no_class_is_refused(place, fashion):
    idx(fashion, "train", np.zeros((3, 4, 4), np.uint8), [0, 10, 0])
    with pytest.raises(Unavailable, match="has the label 10, and Fashion-MNIST 10 classes, from 0"):
        dataset("fashion-mnist").find(place)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: gzip.compress(b"\0\0\x08\x02" + gzip.decompress(data)[4:]), "magic 00000802"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-1]), r"is (damaged|cut off): \d+ of \d+"),
        (lambda data: gzip.compress(gzip.decompress(data) + b"\0"), r"is damaged: more than \d+ bytes"),
        (lambda data: data[:-8] + b"\0" * 8, "CRC check failed"),
        (lambda data: b"", "not an IDX"),
    ],
    ids=["magic", "cut", "longer", "check sum", "empty"],
)
def test_a_damaged_idx_file_is_unavailable(place, fashion, name, damage, words):
    (fashion / name).write_bytes(damage((fashion / name).read_bytes()))
    with pytest.raises(Unavailable, match=words) as error:
        dataset("fashion-mnist").find(place)
    assert "\n" not in str(error.value) and "--labels" not in str(error.value)


def test_labels_in_place_of_pictures_get_a_remedy_that_fits(place, fashion):
    labels = (fashion / "train-labels-idx1-ubyte.gz").read_bytes()
    (fashion / "train-images-idx3-ubyte.gz").write_bytes(labels)
    with pytest.raises(Unavailable, match="holds IDX labels, not pictures; bring the files of its publisher"):
        dataset("fashion-mnist").find(place)


def binary(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"cifar-bin/{name}")
            entry.size = len(data)
            archive.addfile(entry, BytesIO(data))


def record(*codes: int, red: int) -> bytes:
    # The first row of the red channel counts up, so that a wrong order of axes would be seen.
    plane = bytes(range(32)) + bytes([red]) * (1024 - 32)
    return bytes(codes) + plane + bytes([7]) * 1024 + bytes([9]) * 1024


def test_the_binary_archive_of_cifar10_is_read_pixel_by_pixel(place):
    names = b"airplane\nautomobile\n\n"
    batches = {f"data_batch_{i}.bin": record(i % 2, red=i) for i in range(1, 6)}
    archive = place.data / "cifar10" / "cifar-10-binary.tar.gz"
    binary(archive, {**batches, "test_batch.bin": record(1, red=200), "batches.meta.txt": names})
    found = dataset("cifar10").find(place)
    assert found.pixels == "as found: not the archive that was published, kept as PNG"
    assert named_labels(found) == {
        "train/automobile/0.png": "automobile",
        "train/airplane/1.png": "airplane",
        "train/automobile/2.png": "automobile",
        "train/airplane/3.png": "airplane",
        "train/automobile/4.png": "automobile",
        "test/automobile/0.png": "automobile",
    }
    with tarfile.open(found.sources[0]) as tar:
        pixels = np.asarray(Image.open(tar.extractfile("test/automobile/0.png")))
    assert pixels.shape == (32, 32, 3)
    np.testing.assert_array_equal(pixels[0, :, 0], np.arange(32))
    assert (pixels[1:, :, 0] == 200).all() and (pixels[..., 1] == 7).all() and (pixels[..., 2] == 9).all()
    # Made anew it is the same source, so that the store is found again.
    before = open_source(found.sources[0]).digest()
    found.sources[0].unlink()
    assert open_source(dataset("cifar10").find(place).sources[0]).digest() == before


def test_cifar100_has_a_class_that_is_called_like_a_split(place):
    archive = place.data / "cifar100" / "cifar-100-binary.tar.gz"
    train, test = record(3, 0, red=1) + record(4, 1, red=2), record(3, 0, red=3)
    binary(archive, {"train.bin": train, "test.bin": test, "fine_label_names.txt": b"train\nbear\n"})
    found = dataset("cifar100").find(place)
    assert named_labels(found) == {
        "train/train/0.png": "train", "train/bear/1.png": "bear", "test/train/0.png": "train",
    }  # fmt: skip
    part = dataset("cifar100-2").find(place)
    assert (part.name, part.collection, "train" in part.kept, "bear" in part.kept) == (
        "cifar100-2", "cifar100", True, False,
    )  # fmt: skip


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"\5" + bytes(3072)])
def test_a_damaged_archive_is_refused(place, damage):
    archive = place.data / "cifar10" / "cifar-10-binary.tar.gz"
    batches = {f"data_batch_{i}.bin": record(0, red=i) for i in range(1, 6)}
    binary(archive, {**batches, "test_batch.bin": damage(record(0, red=0)), "batches.meta.txt": b"a\n"})
    with pytest.raises(Unavailable, match="not CIFAR-10's binary archive"):
        dataset("cifar10").find(place)
    assert not list(place.scratch.glob("*.tar"))


def cifar10(place: Place, classes: bytes = b"a b", *, code: int = 0, without: str = "") -> Path:
    files = {f"data_batch_{i}.bin": record(code, red=i) for i in range(1, 6)}
    files |= {"test_batch.bin": record(0, red=0), "batches.meta.txt": classes}
    archive = place.data / "cifar10" / "cifar-10-binary.tar.gz"
    binary(archive, {name: data for name, data in files.items() if name != without})
    return archive


def test_an_archive_with_the_digest_of_its_publisher_is_as_published(place, monkeypatch):
    archive = cifar10(place)
    right = f"md5:{hashlib.md5(archive.read_bytes()).hexdigest()}"
    monkeypatch.setattr(Cifar10, "remote", Remote(Cifar10.remote.url, right))
    assert dataset("cifar10").find(place).pixels == "as published, kept as PNG"


def test_another_archive_is_another_source(place):
    cifar10(place)
    before = dataset("cifar10").find(place).sources[0]
    archive = cifar10(place, code=1)
    after = dataset("cifar10").find(place).sources[0]
    assert after.name == f"cifar10-{hashlib.md5(archive.read_bytes()).hexdigest()[:12]}.tar"
    assert before.exists() and before.name != after.name
    assert open_source(before).digest() != open_source(after).digest()
    assert next(name for _, name in open_source(after).names()) == "train/b/0.png"


def test_digests_are_taken_once_of_a_file_as_it_is(place):
    path, record = place.data / "file", place.scratch / "digests.json"
    path.parent.mkdir()
    path.write_bytes(b"one")
    os.utime(path, (1, 1))
    assert known_digest(path, "md5", place) == f"md5:{hashlib.md5(b'one').hexdigest()}"
    path.write_bytes(b"two")
    os.utime(path, (1, 1))
    assert known_digest(path, "md5", place) == f"md5:{hashlib.md5(b'one').hexdigest()}"
    os.utime(path, (2, 2))
    assert known_digest(path, "md5", place) == f"md5:{hashlib.md5(b'two').hexdigest()}"
    for damaged in (b"{", b"[]", b'{"md5 x": 3}', json.dumps({f"md5 {path}": [3, 2 * 10**9, None]}).encode()):
        record.write_bytes(damaged)
        assert known_digest(path, "md5", place) == f"md5:{hashlib.md5(b'two').hexdigest()}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"without": "batches.meta.txt"}, "it holds no batches.meta.txt"),
        ({"without": "data_batch_4.bin"}, "it holds no data_batch_4.bin"),
        ({"classes": b"../../x b"}, r"a class cannot be called '\.\./\.\./x'"),
        ({"classes": b".. b"}, r"a class cannot be called '\.\.'"),
        ({"code": 2}, "a record of the train split is of class 2, and it names 2, from 0"),
    ],
)
def test_what_is_wrong_with_an_archive_is_one_line(place, given, words):
    cifar10(place, **given)
    with pytest.raises(Unavailable, match=words) as error:
        dataset("cifar10").find(place)
    assert "\n" not in str(error.value)
    assert not list(place.scratch.glob("*.tar"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"<html>", "Not a gzipped file"),
        (lambda data: b"", "empty file"),
        (lambda data: data[: len(data) // 2], ""),
        (lambda data: data[:-8] + b"\0" * 8, "CRC check failed"),
        (lambda data: data[:-4], "ended before"),
    ],
    ids=["page", "nothing", "half", "check sum", "end"],
)
def test_an_archive_is_read_to_its_end(place, damage, words):
    archive = cifar10(place)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(Unavailable, match=f"not CIFAR-10's binary archive: .*{words}") as error:
        dataset("cifar10").find(place)
    assert "\n" not in str(error.value)
    assert not list(place.scratch.glob("*.tar"))


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py"])
def test_pickles_are_not_read(place, name):
    (place.data / "cifar10").mkdir(parents=True)
    (place.data / "cifar10" / name).touch()
    with pytest.raises(Unavailable, match=r"pickled.*cifar-10-binary.tar.gz"):
        dataset("cifar10").find(place)


@pytest.mark.parametrize(
    ("ending", "pixels"), [("jpg", "re-encoded as JPEG"), ("png", "as published, if .png lost nothing")]
)
def test_pictures_in_folders_say_how_they_are_encoded(place, ending, pixels):
    for split in ("train", "test"):
        folder = place.data / "cifar10" / split / "cat"
        folder.mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(folder / f"1.{ending}")
    found = dataset("cifar10").find(place)
    assert found.pixels == pixels
    assert named_labels(found) == {f"{split}/cat/1.{ending}": "cat" for split in ("train", "test")}


def test_folders_without_pictures_are_said(place):
    for split in ("train", "test"):
        (place.data / "cifar10" / split).mkdir(parents=True)
    with pytest.raises(Unavailable, match="cifar10 holds no pictures"):
        dataset("cifar10").find(place)


def test_a_download_is_made_only_when_asked_for(site, place, monkeypatch):
    monkeypatch.setattr(Cifar10, "remote", Remote(f"{site}/cifar-10-binary.tar.gz", RIGHT))
    with pytest.raises(Unavailable, match="--download"):
        dataset("cifar10").find(place)
    assert Files.asked == []
    with pytest.raises(Unavailable, match="not CIFAR-10's binary archive"):
        dataset("cifar10").find(replace(place, download=True))
    assert (place.data / "cifar10" / "cifar-10-binary.tar.gz").read_bytes() == BODY


def test_digits_are_those_of_scikit_learn(place):
    from sklearn.datasets import load_digits

    found = dataset("digits").find(replace(place, quick=True))
    with tarfile.open(found.sources[0]) as tar:
        assert len(tar.getmembers()) == 300
        pixels = np.asarray(Image.open(tar.extractfile("1/1.png")))
    np.testing.assert_allclose(pixels / 255 * 16, load_digits().images[1], atol=0.04)


def test_subsets_are_ten_classes_each():
    subsets = json.loads(SUBSETS.read_text())["subsets"]
    assert set(subsets) == {name for name in DATASETS if name.startswith("cifar100-")}
    assert all(len(set(classes)) == 10 for classes in subsets.values())


def test_caltech_of_the_publisher_is_its_folders(place):
    folder = place.data / "caltech101" / "101_ObjectCategories" / "anchor"
    folder.mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "image_0001.jpg")
    found = dataset("caltech101").find(place)
    assert named_labels(found) == {"anchor/image_0001.jpg": "anchor"}
    assert "Faces_easy" in found.left_out


@pytest.mark.parametrize("cut", [700, 0])
def test_pictures_that_cannot_be_listed_are_unavailable(place, cut):
    folder = place.data / "caltech101"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "images.tar", "w") as archive:
        entry = tarfile.TarInfo("image_0001.jpg")
        entry.size = 3000
        archive.addfile(entry, BytesIO(bytes(3000)))
    (folder / "labels.csv").write_text("image,label\nimage_0001.jpg,anchor\n")
    os.truncate(folder / "images.tar", cut)
    with pytest.raises(Unavailable, match=r"images.tar .*; bring the files of its publisher"):
        dataset("caltech101").find(place)
