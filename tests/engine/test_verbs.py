"""Export, relocate, embed, spaces, runs, members, info, compact and dry runs, on real stores."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import engine as api
from engine.compact import compact
from engine.encoders import load
from engine.errors import BadInput, EmptySpace, FingerprintMismatch, NoStore, NoSuchImage, SourceError
from engine.export import export
from engine.info import info, runs, spaces
from engine.ingestion.embed import embed
from engine.ingestion.fill import fill
from engine.ingestion.intake import estimate, intake
from engine.ingestion.request import Request
from engine.members import members
from engine.relocate import relocate
from engine.remove import remove
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from engine.store.names import resolve
from engine.verify import verify
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import BLUE, GREEN, GREY, OLIVE, RED, SPEC, picture, unit, write_tar

FILES = {
    "red.png": picture(RED),
    "broken.png": b"no picture",
    "green, or not.png": picture(GREEN),
    "blue.png": picture(BLUE),
    "red again.png": picture(RED),
}
COLOURS = {"red.png": RED, "green, or not.png": GREEN, "blue.png": BLUE}


def ingest(path: Path, *sources: Path, encoders: tuple[str, ...] = (SPEC,), **options) -> dict:
    request = Request([str(one) for one in sources], encoders=list(encoders), workers=1, **options)
    return intake(path, request)


@pytest.fixture
def tar(tmp_path) -> Path:
    return write_tar(tmp_path / "pictures.tar", FILES)


@pytest.fixture
def store(tmp_path, tar) -> Store:
    ingest(tmp_path / "store", tar)
    return Store.open(tmp_path / "store")


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file under a folder."""
    states = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {str(path): (state.st_size, state.st_mtime_ns) for path, state in states}


# --- export ---


def test_export_as_npy_keeps_order_ids_names_and_bits(store, tmp_path):
    done = export(store, tmp_path / "v.npy")
    assert (done.space, done.rows, done.dim, done.paths) == ("colour", 3, 3, [tmp_path / "v.npy", tmp_path / "v.csv"])
    X = np.load(tmp_path / "v.npy")
    with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(COLOURS)
    assert [int(row["ordinal"]) for row in rows] == [0, 2, 3]
    assert X.dtype == np.float32
    stored = {row["id"].hex(): row["vector"] for row in store.vectors_table(store.space()).rows()}
    for row, vector, colour in zip(rows, X, COLOURS.values(), strict=True):
        np.testing.assert_array_equal(vector, np.array(stored[row["id"]], np.float32))
        np.testing.assert_allclose(vector, unit(colour), atol=1e-7)
    assert {row["source"] for row in rows} == {one["digest"].hex() for one in store.sources.rows()}


def test_export_as_parquet_says_the_same(store, tmp_path):
    export(store, tmp_path / "v.npy")
    assert export(store, tmp_path / "v.parquet", form="parquet").paths == [tmp_path / "v.parquet"]
    table = pq.read_table(tmp_path / "v.parquet")
    assert table.column_names == ["id", "name", "source", "ordinal", "vector"]
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), np.load(tmp_path / "v.npy"))
    with (tmp_path / "v.csv").open(newline="", encoding="utf-8") as file:
        listed = [{**row, "ordinal": int(row["ordinal"])} for row in csv.DictReader(file)]
    assert table.drop_columns("vector").to_pylist() == listed
    about = {key.decode(): value.decode() for key, value in table.schema.metadata.items() if b"ARROW" not in key}
    assert (about["space"], about["fingerprint"], about["encoder"]) == ("colour", "c0104ec0104e", SPEC)


def test_export_of_photos_is_what_search_scores(sample_store, tmp_path):
    store = Store.open(sample_store)
    export(store, tmp_path / "v.npy")
    X = np.load(tmp_path / "v.npy")
    assert X.shape == (340, 1280)
    np.testing.assert_allclose(np.linalg.norm(X.astype(np.float64), axis=1), 1, atol=1e-6)
    names = [row["name"] for row in csv.DictReader((tmp_path / "v.csv").open(newline=""))]
    hit = search(store, Query(names=["images/9.jpeg"]), k=2).hits[1]
    assert hit.score == pytest.approx(X[names.index(hit.name)] @ X[names.index("images/9.jpeg")], abs=1e-6)


def test_export_replaces_whole_files_only(store, tmp_path, monkeypatch):
    (tmp_path / "v.npy").write_bytes(b"what was there")
    before = sorted(tmp_path.iterdir())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.export.csv.DictWriter", full)
    with pytest.raises(OSError, match="No space"):
        export(store, tmp_path / "v.npy")
    assert (tmp_path / "v.npy").read_bytes() == b"what was there"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("output", "options", "error", "message"),
    [
        ("none/v.npy", {}, BadInput, "no folder"),
        (".", {}, BadInput, "cannot be written"),
        ("v.csv", {}, BadInput, "cannot be written"),
        ("v.npy", {"form": "xlsx"}, BadInput, "npy, parquet"),
        ("v.npy", {"space": "nosuch"}, EmptySpace, "nosuch"),
    ],
)
def test_export_refuses(store, tmp_path, output, options, error, message):
    before = contents(tmp_path)
    with pytest.raises(error, match=message) as caught:
        export(store, tmp_path / output, **options)
    assert caught.value.remedy
    assert contents(tmp_path) == before


def test_export_without_vectors(tmp_path, tar):
    ingest(tmp_path / "store", tar, encoders=("none",))
    with pytest.raises(EmptySpace, match="no vectors yet"):
        export(Store.open(tmp_path / "store"), tmp_path / "v.npy")


# --- relocate ---


def nothing_to_do(path: Path, *sources: Path) -> None:
    assert ingest(path, *sources)["members"] == 0
    store = Store.open(path)
    verdict = verify(store, read_bytes=True)
    assert verdict.ok, verdict.problems


def test_a_file_that_moved(store, tar, tmp_path):
    (tmp_path / "new").mkdir()
    moved = tar.rename(tmp_path / "new" / "renamed.tar")
    assert relocate(store, tar, moved) == [moved]
    nothing_to_do(store.path, moved)
    assert store.sources.count() == 1


def test_a_copy_with_another_time(store, tar, tmp_path):
    (tmp_path / "copy.tar").write_bytes(tar.read_bytes())
    os.utime(tmp_path / "copy.tar", (1, 1))
    tar.unlink()
    relocate(store, tar, tmp_path / "copy.tar")
    nothing_to_do(store.path, tmp_path / "copy.tar")


def test_a_folder_of_sources_by_paths_with_dots(tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    sources = [
        write_tar(tmp_path / "old" / "1.tar", FILES),
        write_tar(tmp_path / "old" / "2.tar", {"g.png": picture(GREY)}),
    ]
    elsewhere = write_tar(tmp_path / "older.tar", {"o.png": picture(OLIVE)})
    ingest(tmp_path / "store", *sources, elsewhere)
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    store = Store.open(tmp_path / "store")
    new = [tmp_path / "new" / "1.tar", tmp_path / "new" / "2.tar"]
    assert sorted(relocate(store, Path("../old"), Path("../work/../new"))) == new
    nothing_to_do(store.path, *new, elsewhere)


def test_a_folder_that_is_a_source(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, data in FILES.items():
        (tmp_path / "photos" / name).write_bytes(data)
    ingest(tmp_path / "store", tmp_path / "photos")
    store = Store.open(tmp_path / "store")
    (tmp_path / "photos").rename(tmp_path / "pictures")
    relocate(store, tmp_path / "photos", tmp_path / "pictures")
    nothing_to_do(store.path, tmp_path / "pictures")


def test_a_source_that_was_cut_off_before_it_moved(tmp_path, tar):
    tar.write_bytes(tar.read_bytes()[:3000])
    assert ingest(tmp_path / "store", tar)["cut"]
    store = Store.open(tmp_path / "store")
    moved = tar.rename(tmp_path / "moved.tar")
    relocate(store, tar, moved)
    assert ingest(store.path, moved)["members"] == 0


def test_another_file_is_refused_and_nothing_changes(store, tar, tmp_path):
    other = write_tar(tmp_path / "other.tar", {**FILES, "red.png": picture(GREY)})
    short = tmp_path / "short.tar"
    short.write_bytes(tar.read_bytes()[:2000])
    before = store.sources.rows(), store.versions()
    for new, message in ((other, "another source: 1 of 4"), (short, "cut off"), (tmp_path / "none", "nothing at")):
        with pytest.raises(BadInput, match=message) as caught:
            relocate(store, tar, new)
        assert caught.value.remedy
    with pytest.raises(BadInput, match=r"no source.*pictures\.tar"):
        relocate(store, tmp_path / "never.tar", tar)
    assert (store.sources.rows(), store.versions()) == before


# --- embed ---


def test_embed_fills_only_what_lacks(store, tmp_path):
    write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY), "blue.png": picture(BLUE)})
    ingest(store.path, tmp_path / "more.tar", encoders=(BRIGHTNESS,))
    assert {one["space"]: one["rows"] for one in spaces(store)} == {"colour": 3, "brightness": 2}
    done = fill(store.path, SPEC, workers=1)
    assert (done["images"], done["spaces"]["colour"]["rows"]) == (1, 4)
    before = store.versions()
    again = fill(store.path, SPEC, workers=1)
    assert (again["images"], again["run"]) == (0, None)
    assert store.versions() == before
    score = search(store, Query(names=["grey"]), space="colour", k=4).hits
    assert {hit.name: hit.score for hit in score}["red.png"] == pytest.approx(3**-0.5, abs=1e-6)
    assert {one["space"]: one["coverage"] for one in spaces(store)} == {"colour": 1.0, "brightness": 0.5}


def test_embed_resumes(store):
    table = store.vectors_table(store.space())
    before = {row["id"]: row["vector"] for row in table.rows()}
    first, *others = before
    table.delete(" OR ".join(f"id = X'{one.hex()}'" for one in others))
    assert [row["id"] for row in table.rows()] == [first]
    assert embed(store, load(SPEC), workers=1).rows == 2
    assert {row["id"]: row["vector"] for row in table.rows()} == before


def test_ingesting_what_is_there_with_another_encoder_fills_its_space(tmp_path, tar):
    ingest(tmp_path / "store", tar, encoders=("none",))
    found = ingest(tmp_path / "store", tar)
    assert (found["members"], found["spaces"]["colour"]["rows"]) == (0, 3)
    with pytest.raises(FingerprintMismatch, match=r"c0104ec0104e.*b416b416b416"):
        ingest(tmp_path / "store", tar, encoders=(BRIGHTNESS,), space="colour")


def test_embed_does_not_bring_back_what_was_removed(store):
    remove(store, ["blue"])
    assert fill(store.path, BRIGHTNESS, workers=1)["images"] == 2


def test_embed_needs_the_source_and_names_relocate(store, tar):
    moved = tar.rename(tar.with_name("moved.tar"))
    with pytest.raises(SourceError, match=r"3 images.*pictures\.tar") as caught:
        fill(store.path, BRIGHTNESS, workers=1)
    assert caught.value.remedy == f"if it moved: engine relocate {tar} NEW"
    relocate(store, tar, moved)
    assert fill(store.path, BRIGHTNESS, workers=1)["images"] == 3


def test_embed_says_which_images_are_no_longer_what_was_stored(store, tar):
    before = tar.stat()
    changed = {**FILES, "red.png": picture(GREY), "red again.png": picture(GREY)}
    write_tar(tar, changed)
    assert tar.stat().st_size == before.st_size
    done = embed(store, load(BRIGHTNESS), workers=1)
    assert (done.rows, done.changed) == (2, 1)


# --- what a store says of itself ---


def test_spaces(store):
    (one,) = spaces(store)
    assert one == {
        "space": "colour",
        "encoder": SPEC,
        "fingerprint": "c0104ec0104e",
        "dim": 3,
        "rows": 3,
        "coverage": 1.0,
        "default": True,
        "recipe": {"weights": None},
    }


def test_info_adds_up(store, tmp_path):
    remove(store, ["blue"])
    found = info(store)
    counts = {key: found[key] for key in ("members", "images", "duplicates", "rejected", "removed", "sources")}
    assert counts == {"members": 5, "images": 2, "duplicates": 1, "rejected": 1, "removed": 1, "sources": 1}
    assert found["members"] == found["images"] + found["duplicates"] + found["rejected"] + found["removed"]
    assert (found["default_space"], found["labels"], found["indexes"]) == ("colour", {}, [])
    assert found["spaces"]["colour"]["rows"] == 2
    on_disk = sum(path.stat().st_size for path in store.path.glob("*.lance/**/*") if path.is_file())
    assert found["bytes"] == on_disk == sum(one["bytes"] for one in found["tables"].values())
    assert found["store_version"] == store.versions()


def test_runs_are_listed_with_their_results(store, tar):
    remove(store, ["blue"])
    store.begin("embed", {"spaces": ["x"]})
    ingested, removed, killed = runs(store)
    assert [one["command"] for one in (ingested, removed, killed)] == ["ingest", "remove", "embed"]
    assert (ingested["state"], killed["state"], killed["result"], killed["seconds"]) == (
        "done",
        "unfinished",
        None,
        None,
    )
    assert ingested["details"]["sources"] == [str(tar)]
    result = {key: ingested["result"][key] for key in ("members", "images", "duplicates", "rejected")}
    assert result == {"members": 5, "images": 3, "duplicates": 1, "rejected": 1}
    assert removed["result"] == {"images": 1, "members": 1}
    assert store.members.rows(None, "ordinal = 0")[0]["run"] == ingested["run"]


def test_members_are_the_ledger(store):
    remove(store, ["blue"])
    listed = {one["name"]: one for one in members(store)}
    assert {name: one["ordinal"] for name, one in listed.items()} == {name: n for n, name in enumerate(FILES)}
    assert {one["source"] for one in listed.values()} == {"pictures.tar"}
    assert listed["red.png"]["id"] == listed["red again.png"]["id"]
    assert listed["broken.png"]["id"] is None
    assert listed["broken.png"]["rejected"]
    assert [one["name"] for one in members(store, rejected=True)] == ["broken.png"]
    assert [one["name"] for one in members(store, removed=True)] == ["blue.png"]
    assert {one["name"] for one in members(store, rejected=True, removed=True)} == {"broken.png", "blue.png"}


def test_compaction_keeps_every_row_and_drops_versions(tmp_path):
    for number, colour in enumerate((RED, GREEN, BLUE, GREY, OLIVE)):
        ingest(tmp_path / "store", write_tar(tmp_path / f"{number}.tar", {f"{number}.png": picture(colour)}))
    store = Store.open(tmp_path / "store")
    rows = {table.name: sorted(map(str, table.rows())) for table in store.tables()}
    answer = search(store, Query(names=["2"]))
    before = info(store)["tables"]
    assert before["images"]["fragments"] == 5
    compact(store)
    after = info(store)["tables"]
    for name in after:
        assert after[name]["fragments"] <= 1
        assert after[name]["versions"] < max(2, before[name]["versions"]) or before[name]["versions"] == 1
    assert sum(one["bytes"] for one in after.values()) < sum(one["bytes"] for one in before.values())
    assert {table.name: sorted(map(str, table.rows())) for table in store.tables()} == rows
    assert [(hit.id, hit.score) for hit in search(store, Query(names=["2"])).hits] == [
        (hit.id, hit.score) for hit in answer.hits
    ]
    assert verify(store).ok


def test_rows_are_looked_up_through_an_index_and_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.compact.UNINDEXED", 1)
    store = Store(tmp_path / "store")
    named = {}
    for number, colour in enumerate((RED, GREEN, BLUE, GREY, OLIVE)):
        # The index is made for the first and brought up to date for every second of the others.
        ingest(store.path, write_tar(tmp_path / f"{number}.tar", {f"{number}.png": picture(colour)}))
        named[f"{number}.png"] = resolve(store, f"{number}.png")
        assert {name: resolve(store, name) for name in named} == named
    indexed = {index["fields"][0] for index in store.members.dataset().list_indices()}
    assert indexed == {"image", "name", "ordinal"}
    assert "ScalarIndexQuery" in store.members.dataset().scanner(filter="name = '0.png'").explain_plan()
    assert {hit.id: hit.name for hit in search(store, Query(names=["2.png"])).hits} == {
        image: name for name, image in named.items()
    }
    remove(store, ["1.png"])
    with pytest.raises(NoSuchImage, match="was removed"):
        resolve(store, "1.png")
    assert {hit.name for hit in search(store, Query(names=["2.png"])).hits} == named.keys() - {"1.png"}
    assert verify(store).ok


# --- dry runs, and opening ---


def test_a_dry_run_counts_and_writes_nothing(tmp_path, tar):
    request = Request([str(tar)], encoders=[SPEC])
    before = contents(tmp_path)
    found = estimate(tmp_path / "store", request)
    assert (found["members"], found["known"], found["rate_measured"]) == (5, 0, False)
    assert found["seconds"] > 0
    assert found["bytes"] > 0
    assert contents(tmp_path) == before
    assert not (tmp_path / "store").exists()
    ingest(tmp_path / "store", tar)
    write_tar(tmp_path / "more.tar", {"grey.png": picture(GREY)})
    before = contents(tmp_path)
    found = estimate(tmp_path / "store", Request([str(tar), str(tmp_path / "more.tar")], encoders=[SPEC]))
    assert found["members"] == 1
    assert contents(tmp_path) == before


def test_an_ingest_that_cannot_begin_leaves_nothing(tmp_path, tar):
    for request, message in (
        (Request([str(tar)], encoders=["nosuch"]), "unknown encoder"),
        (Request([str(tar)], encoders=["no.such:Thing"]), "cannot be imported"),
        (Request([str(tar)], encoders=["efficientnet_lite0"], weights=tmp_path / "nosuch.pt"), r"nosuch\.pt"),
        (Request([str(tar)], encoders=[SPEC, "none"]), "none beside"),
        (Request([str(tar)], encoders=[SPEC, BRIGHTNESS], space="x"), "exactly one"),
        (Request([str(tar)], encoders=[SPEC], space="../x"), "cannot name"),
        (Request([str(tar)], encoders=[SPEC], workers=0), "positive"),
        (Request([str(tar)], encoders=[SPEC], max_pixels=-1), "positive"),
        (Request([str(tmp_path / "nosuch.tar")], encoders=[SPEC]), r"nosuch\.tar"),
        (Request([str(tmp_path / "no*.tar")], encoders=[SPEC]), "no file matches"),
    ):
        with pytest.raises(Exception, match=message) as caught:
            intake(tmp_path / "store", request)
        assert caught.value.remedy
        assert not (tmp_path / "store").exists()


def test_opening(store, tmp_path):
    assert api.open(str(store.path)).info() == info(store)
    assert api.open(store.path).verify().ok
    assert "members" in api.open(store.path).database().table_names()
    with pytest.raises(NoStore, match=r"there is no store at .*engine ingest"):
        api.open(tmp_path / "nosuch")
    shutil.rmtree(store.path / "cache")
    assert len(api.open(store.path).search(id="blue").hits) == 3
