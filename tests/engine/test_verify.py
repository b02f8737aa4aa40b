"""Each law of a store is broken once, behind its back, and `engine verify` says which."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from engine import cli, encoders
from engine.errors import EmptySpace, StoreBusy
from engine.ingestion.ingest import ingest
from engine.relocate import relocate
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.sources import open_source
from engine.store import Store, durable
from engine.verify import drift, repair, verify
from tests.engine.colour import BLUE, GREEN, GREY, RED, SPEC, picture, unit, write_tar

VECTORS = "space_colour_c0104ec0104e"
FILES = {"red.png": RED, "green.png": GREEN, "red again.png": RED, "blue.png": BLUE}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tar of five members and its store: three images, one duplicate, one rejected."""
    folder = tmp_path_factory.mktemp("template")
    files = {name: picture(colour) for name, colour in FILES.items()} | {"text.txt": b"text"}
    write_tar(folder / "photos.tar", files)
    ingest(Store.create(folder / "store"), [open_source(folder / "photos.tar")], [encoders.load(SPEC)], workers=1)
    return folder


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    """Return a copy of the template's store, with its tar beside it."""
    shutil.copytree(template / "store", tmp_path / "store")
    shutil.copy2(template / "photos.tar", tmp_path / "photos.tar")
    opened = Store.open(tmp_path / "store")
    relocate(opened, template / "photos.tar", tmp_path / "photos.tar")
    return opened


def table(store: Store, name: str) -> lance.LanceDataset:
    return lance.dataset(str(store.path / f"{name}.lance"))


def append(store: Store, name: str, rows: pa.Table) -> None:
    """Write past the keys, as nobody should."""
    lance.write_dataset(rows, str(store.path / f"{name}.lance"), mode="append")


def vector_row(store: Store, values: list[float], image: bytes | None = None) -> None:
    """Replace the vector of an image (of the first by default) or add one for an image that is none."""
    rows = table(store, VECTORS).to_table()
    chosen = image or rows["id"][0].as_py()
    table(store, VECTORS).delete(f"id = X'{chosen.hex()}'")
    append(store, VECTORS, pa.Table.from_pylist([{"id": chosen, "vector": values}], rows.schema))


def one_more(store: Store, name: str) -> None:
    append(store, name, table(store, name).to_table().slice(0, 1))


def stray(store: Store, name: str, **columns: object) -> None:
    schema = table(store, name).schema
    append(store, name, pa.Table.from_pylist([columns], schema))


STRAY = b"\7" * 32
BREAK: dict[str, tuple[Callable[[Store], object], str]] = {
    "vector missing": (
        lambda store: table(store, VECTORS).delete(
            f"id = X'{table(store, VECTORS).to_table()['id'][0].as_py().hex()}'"
        ),
        "space 'colour': 1 vectors are missing",
    ),
    "table of vectors gone": (
        lambda store: shutil.rmtree(store.path / f"{VECTORS}.lance"),
        "space 'colour': 3 vectors are missing",
    ),
    "vector not finite": (
        lambda store: vector_row(store, [float("nan"), 0.0, 1.0]),
        "space 'colour': 1 vectors are not finite or not of unit length",
    ),
    "vector infinite": (
        lambda store: vector_row(store, [float("inf"), 0.0, 1.0]),
        "space 'colour': 1 vectors are not finite or not of unit length",
    ),
    "vector not of unit length": (
        lambda store: vector_row(store, [1.0, 0.02, 0.0]),
        "space 'colour': 1 vectors are not finite or not of unit length",
    ),
    "vector zero": (
        lambda store: vector_row(store, [0.0, 0.0, 0.0]),
        "space 'colour': 1 vectors are not finite or not of unit length",
    ),
    "vector twice": (lambda store: one_more(store, VECTORS), "space 'colour': 1 vectors are stored twice"),
    "vector of no image": (
        lambda store: vector_row(store, [1.0, 0.0, 0.0], STRAY),
        "space 'colour': 1 vectors belong to no image",
    ),
    "image twice": (lambda store: one_more(store, "images"), "1 images are stored twice"),
    "image missing": (
        lambda store: table(store, "images").delete("width = 12 AND bytes > 0"),
        "4 members name an image that is not stored",
    ),
    "image of no member": (lambda store: stray(store, "images", id=STRAY), "1 images belong to no member"),
    "thumbnail missing": (lambda store: table(store, "thumbnails").delete("true"), "3 images have no thumbnail"),
    "thumbnail twice": (lambda store: one_more(store, "thumbnails"), "1 thumbnails are stored twice"),
    "thumbnail of no image": (
        lambda store: stray(store, "thumbnails", id=STRAY, thumbnail=b"x"),
        "1 thumbnails belong to no image",
    ),
    "member twice": (lambda store: one_more(store, "members"), "1 members are in the ledger twice"),
    "member neither image nor rejected": (
        lambda store: stray(store, "members", source=b"s", ordinal=9),
        "1 members have neither an image nor a reason of rejection, or both",
    ),
    "member both image and rejected": (
        lambda store: stray(store, "members", source=b"s", ordinal=9, rejected="bad", image=STRAY),
        "1 members have neither an image nor a reason of rejection, or both",
    ),
    "member of an image that is not stored": (
        lambda store: stray(store, "members", source=b"s", ordinal=9, image=STRAY),
        "1 members name an image that is not stored",
    ),
    "source lost": (lambda store: table(store, "sources").delete("true"), "5 members belong to no source"),
    "gap in the ledger": (
        lambda store: table(store, "members").delete("ordinal = 2"),
        "photos.tar: 4 members are in the ledger, 5 were seen",
    ),
    "end of the ledger lost": (
        lambda store: table(store, "members").delete("ordinal = 4"),
        "photos.tar: 4 members are in the ledger, 5 were seen",
    ),
    "all of the ledger lost": (
        lambda store: table(store, "members").delete("true"),
        "photos.tar: 0 members are in the ledger, 5 were seen",
    ),
    "label of no image": (
        lambda store: stray(store, "labels", key=b"k", id=STRAY, label="x"),
        "1 labels belong to no image",
    ),
    "source not ingested to its end": (
        lambda store: table(store, "sources").update({"complete": "false"}),
        "photos.tar is not ingested to its end; run: engine ingest",
    ),
    "removal not ended": (
        lambda store: store.begin("remove", {"names": ["a b", "@3"], "where": "width > 3"}),
        "engine remove 'a b' @3 --where 'width > 3'",
    ),
    "data file gone": (
        lambda store: [path.unlink() for path in (store.path / "images.lance" / "data").iterdir()],
        "cannot be read",
    ),
    "data file of vectors cut": (
        lambda store: [os.truncate(path, 0) for path in (store.path / f"{VECTORS}.lance" / "data").iterdir()],
        "cannot be read",
    ),
    "manifest empty": (
        lambda store: os.truncate(durable.newest_manifest(store.path / "thumbnails.lance"), 0),
        "engine verify --repair",
    ),
}


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run the command line; return exit code and what it printed on both streams."""
    with pytest.raises(SystemExit) as caught:
        cli.main([str(one) for one in arguments])
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out + printed.err


def test_a_whole_store_is_ok(store, capsys):
    code, out = run(capsys, "verify", "--bytes", "--store", store.path)
    assert code == 0, out
    assert "5 members = 3 images + 1 duplicates + 1 rejected + 0 removed" in out
    assert "space colour: 3 vectors" in out
    assert out.splitlines()[-1] == "ok"


@pytest.mark.parametrize("what", BREAK)
def test_what_is_broken_is_said(store, capsys, what):
    act, problem = BREAK[what]
    act(store)
    code, out = run(capsys, "verify", "--store", store.path)
    problems = [line for line in out.splitlines() if line.startswith("PROBLEM: ")]
    assert code == 1
    assert any(problem in line for line in problems), problems
    # One break breaks no other law than those it must.
    follows = {
        "image missing": 3,
        "image of no member": 2,
        "all of the ledger lost": 2,
        "member twice": 2,
        "member neither image nor rejected": 2,
        "member both image and rejected": 3,
        "member of an image that is not stored": 2,
    }
    assert len(problems) <= follows.get(what, 1), problems


def test_bytes_that_changed(store, tmp_path):
    tar = tmp_path / "photos.tar"
    data = tar.read_bytes()
    assert verify(store, read_bytes=True).ok
    # The last bytes of a picture: the archive stays readable.
    place = data.index(picture(GREEN)) + len(picture(GREEN)) - 1
    tar.write_bytes(data[:place] + b"\0" + data[place + 1 :])
    assert verify(store).ok, "without --bytes the source is not read"
    (problem,) = verify(store, read_bytes=True).problems
    assert "photos.tar: 1 members have other bytes than those stored: green.png" in problem


def test_members_that_are_no_longer_there(store, tmp_path):
    write_tar(tmp_path / "photos.tar", {name: picture(colour) for name, colour in list(FILES.items())[:3]})
    (problem,) = verify(store, read_bytes=True).problems
    assert "photos.tar: 1 of 4 members are no longer there" in problem


def test_a_source_that_is_gone(store, tmp_path, capsys):
    (tmp_path / "photos.tar").unlink()
    assert verify(store).ok
    code, out = run(capsys, "verify", "--bytes", "--store", store.path)
    assert code == 1
    assert "which is gone" in out
    assert "engine relocate" in out


def test_a_source_that_is_no_longer_one(store, tmp_path):
    (tmp_path / "photos.tar").write_bytes(b"")
    assert len(verify(store, read_bytes=True).problems) == 1


def test_verify_waits_for_no_writer(store):
    with store.lock(), pytest.raises(StoreBusy):
        verify(Store.open(store.path))


def test_images_without_vectors_in_a_space_that_did_not_promise_them_are_a_note(store, tmp_path):
    more = write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY)})
    ingest(store, [open_source(more)], [], workers=1)
    verdict = verify(store)
    assert verdict.ok
    assert any("covers 3 of 4 images; run: engine embed" in note for note in verdict.notes)


# --- power ---

COMMANDS = (
    ("info",), ("members",), ("runs",), ("spaces",), ("search", "--id", "red"), ("compact",), ("remove", "blue"),
    ("export", "--output", "out.npy"), ("embed", "--encoder", SPEC), ("ingest", "photos.tar"), ("verify",),
)  # fmt: skip


def test_every_command_recognises_an_empty_manifest(store, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in store.path.glob("*.lance"):
        os.truncate(durable.newest_manifest(path), 0)
    for command in COMMANDS:
        code, out = run(capsys, *command, "--store", "store")
        assert code == (1 if command == ("verify",) else 2), (command, out)
        assert "engine verify --repair" in out, (command, out)
        assert "lost power" in out


def test_repair_brings_the_last_good_versions_back(store, capsys, tmp_path):
    store.vectors(store.space("colour"))
    vectors = store.vectors_table(store.space("colour"))
    before = vectors.version()
    rows = vectors.read()
    vectors.merge(pa.table({"id": pa.array([STRAY], pa.binary()), "vector": rows["vector"].slice(0, 1)}))
    # The cache now knows a version that will be gone, and the next write takes its number.
    assert len(store.vectors(store.space("colour"))) == 4
    os.truncate(durable.newest_manifest(vectors.path), 0)
    code, out = run(capsys, "verify", "--repair", "--store", store.path)
    assert code == 0, out
    assert "removed the empty manifest" in out
    assert vectors.version() == before
    more = write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY)})
    ingest(store, [open_source(more)], [encoders.load(SPEC)], workers=1)
    assert vectors.version() == before + 1
    np.save(tmp_path / "query.npy", np.float32(unit(GREY)))
    (hit,) = search(store, Query(vectors=[tmp_path / "query.npy"]), k=1).hits
    assert (hit.name, round(hit.score, 6)) == ("grey.png", 1.0)
    assert verify(store).ok
    assert repair(store) == []


# --- drift ---


def test_drift_is_none_where_nothing_changed_and_is_found_where_a_vector_did(store):
    measured = drift(store, 10)
    assert (measured.images, measured.ok) == (3, True)
    assert measured.lowest >= 1 - 1e-6
    red = next(row["id"] for row in store.images.rows() if row["bytes"] == len(picture(RED)))
    vector_row(store, [0.0, 1.0, 0.0], red)
    assert not drift(store, 10).ok


def test_drift_without_anything_to_compare(store, tmp_path):
    (tmp_path / "photos.tar").write_bytes((tmp_path / "photos.tar").read_bytes().replace(b"IDAT", b"IDAX"))
    with pytest.raises(EmptySpace, match="none of 3 images"):
        drift(store, 10)
