"""Many queries in one go: each is answered as a search of its own, and a file is there whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import engine as api
from engine.errors import BadInput, EmptySpace, NoSuchImage, SourceError
from engine.ingestion.fill import fill
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.retrieval import batch as batches
from engine.retrieval.batch import Queries, batch, hex_column
from engine.retrieval.hits_file import SCHEMA, HitsFile
from engine.retrieval.many import Block, read_names, regrouped
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from tests.engine.brightness import SPEC as BRIGHTNESS
from tests.engine.colour import SPEC, Notes, picture, write_tar

ROOT = Path(__file__).parents[2]
FILES = {f"some/{place}.png": picture((20 * place, 250 - 17 * place, 90 * (place % 3))) for place in range(12)}
LABELS = "image,label\n" + "".join(f"{place}.png,{'odd' if place % 2 else 'even'}\n" for place in range(9))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("batch")
    # One image is two members; the first names it.
    tar = write_tar(folder / "pictures.tar", {**FILES, "twice.png": FILES["some/3.png"]})
    (folder / "labels.csv").write_text(LABELS)
    request = Request([str(tar)], encoders=[SPEC], labels=folder / "labels.csv", workers=1)
    intake(folder / "store", request)
    fill(folder / "store", BRIGHTNESS, space="quarters", workers=1)
    return Store.open(folder / "store")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a folder of pictures: two that are stored, a new one, and one that is none."""
    (tmp_path / "asked" / "deep").mkdir(parents=True)
    (tmp_path / "asked" / "a.png").write_bytes(FILES["some/7.png"])
    (tmp_path / "asked" / "b.bmp").write_bytes(picture((9, 99, 199), (33, 5), "BMP"))
    (tmp_path / "asked" / "c.png").write_bytes(b"no picture")
    (tmp_path / "asked" / "deep" / "d.png").write_bytes(FILES["some/2.png"])
    return tmp_path / "asked"


def read(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def rows(answers) -> list[dict]:
    """Return answers as the rows of a hits file."""
    return [
        {
            "query": answer.query,
            "rank": rank,
            "id": hit.id.hex(),
            "name": hit.name,
            "source": hit.source,
            "ordinal": hit.ordinal,
            "score": hit.score,
            "fpr": hit.fpr,
            "label": hit.label,
        }
        for answer in answers
        for rank, hit in enumerate(answer.hits, 1)
    ]


LIMITS = [
    {},
    {"k": 1},
    {"k": 50},
    {"threshold": 0.9},
    {"threshold": -1.0},
    {"threshold": 0.5, "k": 4},
    {"fpr": 0.2},
    {"k": 3, "where": "label = 'odd'"},
    {"k": 3, "exclude_self": True},
    {"threshold": 0.9, "exclude_self": True},
    {"k": 4, "space": "colour=2,quarters=1"},
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_every_stored_image_as_a_query_is_a_search_of_its_own(store, tmp_path, limits):
    made = batch(store, Queries(all=True), **limits)
    written = made.write(tmp_path / "hits.parquet")
    singles = [search(store, Query(names=[name]), **limits) for name in FILES]
    expected = rows(singles)
    order = {name: place for place, name in enumerate(FILES)}
    # The queries come in the order of the vectors.
    found = sorted(read(tmp_path / "hits.parquet"), key=lambda row: (order[row["query"]], row["rank"]))
    assert found == expected
    assert (written.queries, written.hits, written.problems) == (12, len(expected), [])
    assert (written.threshold, written.fpr) == (singles[0].threshold, singles[0].fpr)
    one_by_one = {one.query: one for one in batch(store, Queries(all=True), **limits).answers()}
    assert list(map(one_by_one.get, FILES)) == singles


@pytest.mark.parametrize("size", [1, 5, 12, 256])
def test_the_size_of_a_block_changes_nothing(store, tmp_path, monkeypatch, size):
    batch(store, Queries(all=True), threshold=0.8).write(tmp_path / "one.parquet")
    monkeypatch.setattr(batches, "QUERIES", size)
    monkeypatch.setattr(batches, "SLICE_ROWS", 7)
    monkeypatch.setattr("engine.retrieval.hits_file.GROUP_ROWS", 10)
    batch(store, Queries(all=True), threshold=0.8).write(tmp_path / "other.parquet")
    assert read(tmp_path / "one.parquet") == read(tmp_path / "other.parquet")


def test_a_threshold_bounds_the_block_and_loses_nothing(store, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "PAIRS", 25)
    made = batch(store, Queries(all=True), threshold=-1)
    assert made._size() == 2
    assert made.write(tmp_path / "hits.parquet").hits == 144


def test_pictures_of_a_source(store, folder, tmp_path):
    notes = Notes()
    made = batch(store, Queries(images=folder), k=5, workers=1, progress=notes)
    written = made.write(tmp_path / "hits.parquet")
    expected = []
    for name in ("a.png", "b.bmp", "deep/d.png"):
        answer = search(store, Query(images=[folder / name]), k=5)
        expected += [{**row, "query": name} for row in rows([answer])]
    found = read(tmp_path / "hits.parquet")
    assert [(row["query"], row["rank"]) for row in found] == [(row["query"], row["rank"]) for row in expected]
    assert [row["score"] for row in found] == pytest.approx([row["score"] for row in expected], abs=1e-6)
    assert (written.queries, len(written.problems)) == (3, 1)
    assert "c.png" in written.problems[0]
    assert "not an image" in written.problems[0]
    assert notes.notes == [f"warning: {written.problems[0]}"]


def test_stored_pictures_of_a_source_can_be_left_out(store, folder):
    answers = {one.query: one for one in batch(store, Queries(images=folder), k=12, exclude_self=True).answers()}
    assert [len(answers[name].hits) for name in ("a.png", "b.bmp", "deep/d.png")] == [11, 12, 11]
    assert "some/7.png" not in {hit.name for hit in answers["a.png"].hits}


def test_pictures_in_several_spaces(store, folder):
    space = "colour=3,quarters=1"
    answers = list(batch(store, Queries(images=folder), space=space, k=5, workers=1).answers())
    assert [one.query for one in answers] == ["a.png", "b.bmp", "deep/d.png"]
    for answer in answers:
        single = search(store, Query(images=[folder / answer.query]), space=space, k=5)
        assert [hit.score for hit in answer.hits] == pytest.approx([hit.score for hit in single.hits], abs=1e-6)
        assert (answer.space, answer.fingerprint) == (single.space, single.fingerprint)


def test_a_source_that_is_cut_off_is_a_problem_and_no_end(store, tmp_path):
    whole = write_tar(tmp_path / "whole.tar", FILES).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: 5 * 1024 + 700])
    made = batch(store, Queries(images=tmp_path / "cut.tar"), k=1, workers=1)
    written = made.write(tmp_path / "hits.csv")
    assert 0 < written.queries < 12
    assert any("cut.tar" in problem for problem in written.problems)


@pytest.mark.parametrize("kind", ["float32", "float64", "int16"])
def test_rows_of_an_array(store, tmp_path, kind):
    array = (np.random.default_rng(5).normal(size=(300, 3)) * 100).astype(kind)
    np.save(tmp_path / "q.npy", array)
    batch(store, Queries(vectors=tmp_path / "q.npy"), k=2).write(tmp_path / "hits.parquet")
    found = read(tmp_path / "hits.parquet")
    assert [row["query"] for row in found] == [str(row) for row in range(300) for _ in range(2)]
    answers = list(api.open(store.path).search_many(vectors=array, k=2))
    assert found == rows(answers)
    # The ends of a block among them.
    for row in (0, 7, 255, 256, 299):
        assert answers[row].hits == search(store, Query(vectors=[array[row]]), k=2).hits
    X = store.vectors(store.space("colour")).matrix.astype(np.float64)
    cosines = X @ (array.T / np.linalg.norm(array.astype(np.float64), axis=1))
    assert [row["score"] for row in found[::2]] == pytest.approx(cosines.max(axis=0).tolist(), abs=1e-6)


def test_names_from_a_file(store, tmp_path):
    (tmp_path / "names.txt").write_text("some/4.png\n\ntwice.png\n@5\n7\n")
    answers = list(batch(store, Queries(ids=tmp_path / "names.txt"), k=3).answers())
    assert [one.query for one in answers] == ["some/4.png", "twice.png", "@5", "7"]
    assert answers == [search(store, Query(names=[one.query]), k=3) for one in answers]
    assert list(api.open(store.path).search_many(ids=["some/4.png", "twice.png", "@5", "7"], k=3)) == answers


def test_a_line_that_names_no_image_is_told_and_passed_over(store, tmp_path):
    (tmp_path / "names.txt").write_text("some/4.png\n\nnosuch\n@5\n")
    made = batch(store, Queries(ids=tmp_path / "names.txt"), k=3)
    assert [one.query for one in made.answers()] == ["some/4.png", "@5"]
    (problem,) = made.problems
    assert problem.startswith("line 3 of ")
    assert "no image is called 'nosuch'" in problem


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_each_kind_of_file_holds_the_same(store, tmp_path, ending):
    path = tmp_path / f"hits.{ending}"
    batch(store, Queries(all=True), k=3).write(path)
    batch(store, Queries(all=True), k=3).write(tmp_path / "same.parquet")
    expected = read(tmp_path / "same.parquet")
    if ending == "jsonl":
        assert [json.loads(line) for line in path.read_text().splitlines()] == expected
    elif ending == "csv":
        with path.open(newline="") as file:
            found = list(csv.DictReader(file))
        kinds = {"rank": int, "ordinal": int, "score": float, "fpr": float}
        for row in found:
            row.update({name: kind(row[name]) for name, kind in kinds.items()}, label=row["label"] or None)
        assert found == expected
    else:
        schema = pq.read_schema(path)
        assert schema.names == SCHEMA.names
        assert schema.metadata[b"space"] == b"colour"
        assert json.loads(schema.metadata[b"search"])["k"] == 3
    assert {row["label"] for row in expected} == {"odd", "even", None}


def test_one_query_into_a_file(store, tmp_path):
    query = Query(names=["4"], like=["5"], unlike=["11"])
    written = batch(store, query, threshold=0.2, exclude_self=True).write(tmp_path / "hits.parquet")
    answer = search(store, query, threshold=0.2, exclude_self=True)
    assert read(tmp_path / "hits.parquet") == rows([answer])
    assert (written.queries, written.hits) == (1, len(answer.hits))
    assert {"some/4.png", "some/5.png", "some/11.png"}.isdisjoint(hit.name for hit in answer.hits)


def test_images_without_a_committed_member_are_no_answer_and_no_query(tmp_path):
    tar = write_tar(tmp_path / "pictures.tar", FILES)
    intake(tmp_path / "store", Request([str(tar)], encoders=[SPEC], workers=1))
    store = Store.open(tmp_path / "store")
    store.members.delete("name = 'some/7.png'")
    answers = list(batch(store, Queries(all=True), threshold=-1).answers())
    assert [len(answer.hits) for answer in answers] == [11] * 11
    assert "some/7.png" not in {hit.name for answer in answers for hit in answer.hits}


def test_hexadecimal_columns():
    ids = np.random.default_rng(0).integers(0, 256, (5, 32), np.uint8)
    assert hex_column(ids).to_pylist() == [one.tobytes().hex() for one in ids]
    assert hex_column(ids[:0]).to_pylist() == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_regrouped_blocks_hold_the_same(size):
    def blocks():
        for start, end in ((0, 3), (3, 3), (3, 4), (4, 11)):
            numbers = np.arange(start, end)
            yield Block([str(n) for n in numbers], numbers[:, None].astype(np.float32), numbers)

    found = list(regrouped(blocks(), size))
    assert [len(block) for block in found[:-1]] == [size] * (len(found) - 1)
    assert [name for block in found for name in block.names] == [str(n) for n in range(11)]
    assert np.concatenate([block.points for block in found]).ravel().tolist() == list(range(11))
    assert np.concatenate([block.own for block in found]).tolist() == list(range(11))


# --- what cannot be ---


@pytest.mark.parametrize(
    ("queries", "options", "error", "message"),
    [
        (Queries(), {}, BadInput, "no queries"),
        (Queries(images="x", all=True), {}, BadInput, "--images and --all"),
        (Queries(ids=["4"], vectors=np.ones((1, 3))), {}, BadInput, "--vectors and --ids"),
        (Queries(images="nosuch"), {}, SourceError, "nosuch"),
        (Queries(vectors="nosuch.npy"), {}, BadInput, "not a file"),
        (Queries(vectors=np.ones((2, 4))), {}, BadInput, "3 dimensions"),
        (Queries(vectors=np.ones((0, 3))), {}, BadInput, "3 dimensions"),
        (Queries(vectors=np.array([[1, 2, 3], [0, 0, 0]])), {}, BadInput, "row 1 of the queries"),
        (Queries(vectors=np.array([[1, np.nan, 3]])), {}, BadInput, "row 0 of the queries"),
        (Queries(ids="nosuch.txt"), {}, BadInput, "nosuch.txt"),
        (Queries(ids=["4", "nosuch"]), {}, NoSuchImage, "nosuch"),
        (Queries(all=True), {"k": 0}, BadInput, "k is 0"),
        (Queries(all=True), {"threshold": 0.5, "fpr": 0.1}, BadInput, "two thresholds"),
        (Queries(all=True), {"space": "nosuch"}, EmptySpace, "nosuch"),
        (Queries(all=True), {"output": "hits.txt"}, BadInput, "hits.txt"),
        (Queries(all=True), {"output": "hits"}, BadInput, "endings"),
        (Queries(all=True), {"output": "none/hits.csv"}, BadInput, "no folder"),
        (Queries(all=True), {"output": "folder.csv"}, BadInput, "is a folder"),
        (Queries(all=True), {"output": "x" * 300 + ".csv"}, BadInput, "cannot be written"),
        (Queries(all=True), {"output": "x" * 300 + ".parquet"}, BadInput, "cannot be written"),
    ],
)
def test_what_cannot_be_asked_leaves_nothing(store, tmp_path, monkeypatch, queries, options, error, message):
    monkeypatch.chdir(tmp_path)
    Path("folder.csv").mkdir()
    output = options.get("output", "hits.parquet")
    with pytest.raises(error, match=message) as caught:
        batch(store, queries, **options).write(output)
    assert caught.value.remedy
    assert os.listdir(tmp_path) == ["folder.csv"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_files_without_a_name(store, tmp_path, content):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(BadInput, match=r"names\.txt"):
        batch(store, Queries(ids=tmp_path / "names.txt"))


def test_an_empty_folder_is_no_query(store, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"no image in .*empty"):
        batch(store, Queries(images=tmp_path / "empty"), workers=1).write(tmp_path / "hits.csv")
    assert os.listdir(tmp_path) == ["empty"]


def test_names_end_at_line_feeds_only(tmp_path):
    names = ["a\u2028b.png", "c\x0bd", "e\x85f"]
    (tmp_path / "names.txt").write_bytes(("\ufeff" + "\r\n".join(names) + "\n\n").encode())
    assert list(read_names(tmp_path / "names.txt").values()) == names


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_a_killed_search_left_goes_with_the_next_one(tmp_path, ending):
    path, other = tmp_path / f"hits.{ending}", tmp_path / f".other.{ending}.12ab.tmp"
    other.write_text("another file's")
    code = "import os, sys, pathlib; from engine.retrieval.hits_file import HitsFile\n"
    code += "with HitsFile(pathlib.Path(sys.argv[1]), {}): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, check=False)
    assert len(os.listdir(tmp_path)) == 2
    # One that is being written stays.
    with HitsFile(path, {}), HitsFile(path, {}):
        assert len(os.listdir(tmp_path)) == 3
    assert sorted(os.listdir(tmp_path)) == [other.name, path.name]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_may_be_called_what_is_no_text(store, tmp_path, ending):
    path = tmp_path / os.fsdecode(b"a\xff." + ending.encode())
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes no such name")
    assert batch(store, Queries(all=True), k=1).write(path).hits == store.images.count()
    assert path.stat().st_size


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_is_interrupted_leaves_what_was_there(tmp_path, ending):
    path = tmp_path / f"hits.{ending}"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), HitsFile(path, {}) as file:
        file.write(pa.Table.from_pylist([dict.fromkeys(SCHEMA.names)], SCHEMA))
        assert len(os.listdir(tmp_path)) == 2
        raise KeyboardInterrupt
    assert (os.listdir(tmp_path), path.read_text()) == ([path.name], "before")


INTERRUPTED = """
import os, signal, sys
from engine.retrieval import batch
from engine.cli import main

found = batch.Batch._tables

def interrupted(self, block, neighbours):
    yield from found(self, block, neighbours)
    os.kill(os.getpid(), signal.SIGINT)

batch.Batch._tables = interrupted
# A shell may have started us deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
main(sys.argv[1:])
"""


def test_ctrl_c_leaves_nothing_half_written(store, folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "search", "--images", str(folder), "--output", "hits.parquet",
         "--store", str(store.path)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "stopped" in done.stderr
    assert os.listdir(tmp_path) == ["asked"]


# --- the command ---


def test_the_command_writes_reports_and_exits(store, folder, engine, tmp_path):
    done = engine("search", "--images", folder, "-k", 2, "--output", "hits.parquet", "--store", store.path, check=False)
    assert done.returncode == 1
    assert done.stdout == "6 hits of 3 queries in hits.parquet\n"
    assert "'c.png' is no query: not an image" in done.stderr
    assert "in space colour (c0104ec0104e)" in done.stderr
    assert len(read(tmp_path / "hits.parquet")) == 6
    printed = engine("search", "--id", 4, "--threshold", "-1", "--output", "h.jsonl", "--json", "--store", store.path)
    found = json.loads(printed.stdout)
    assert found.keys() >= {"path", "queries", "hits", "problems", "space", "fingerprint", "threshold", "fpr", "index"}
    assert (found["path"], found["queries"], found["hits"]) == ("h.jsonl", 1, 12)


def test_the_command_prints_many_answers(store, engine, tmp_path):
    lines = engine("search", "--all", "-k", 2, "--json", "--store", store.path).stdout.splitlines()
    assert len(lines) == 12
    for line in map(json.loads, lines):
        answer = search(store, Query(names=[line["query"]]), k=2)
        assert [hit["name"] for hit in line["hits"]] == [hit.name for hit in answer.hits]
    printed = engine("search", "--all", "-k", 2, "--store", store.path)
    table = [line.split("\t") for line in printed.stdout.splitlines()]
    assert table[0] == ["query", "rank", "score", "fpr", "name", "label"]
    assert len(table) == 1 + 24
    assert [row[:2] for row in table[1:3]] == [
        [json.loads(lines[0])["query"], "1"],
        [json.loads(lines[0])["query"], "2"],
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--images", "x", "--id", "4"],
        ["--all", "--like", "4"],
        ["--all", "--ids", "x.txt"],
        ["--all", "--grid", "g.png"],
        ["--id", "4", "--grid", "g.png", "--output", "h.csv"],
        ["--all", "-k", "0"],
        ["--output", "h.csv"],
    ],
)
def test_options_that_do_not_go_together(store, engine, tmp_path, arguments):
    done = engine("search", *arguments, "--store", store.path, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert os.listdir(tmp_path) == []
