"""The labels table: what is written, whose word counts, and what can be taken back, checked by hand-made statements."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

import engine as engine_package
from engine.errors import BadInput, NoSuchImage
from engine.ingestion.annotations import label_row
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label_counts import label_counts
from engine.labeling.label_diff import diff
from engine.labeling.label_edit import import_labels, set_label, unset_label
from engine.labeling.label_runs import accept, revert
from engine.labeling.labels import Said, append, class_names, label_runs, run_labels, statements, truth
from engine.labeling.precedence import PRECEDENCE
from engine.select import all_labels, conflicting, labels_of, matching
from engine.store import Store
from engine.store.names import resolve
from engine.verify import verify
from tests.engine.colour import picture, write_tar

NUMBER = 10
NAMES = [f"a/{number}.png" for number in range(NUMBER)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    files = {name: picture((20 * place, 255 - 20 * place, 60)) for place, name in enumerate(NAMES)}
    tar = write_tar(folder / "pile.tar", files | {"b/9.png": picture((1, 2, 3)), "again.png": files["a/3.png"]})
    intake(folder / "store", Request([str(tar)], encoders=["none"], workers=1))
    return folder / "store"


@pytest.fixture
def store(tmp_path, made) -> Store:
    shutil.copytree(made, tmp_path / "store")
    return Store.open(tmp_path / "store")


def ids(store: Store, *numbers: int) -> np.ndarray:
    found = b"".join(resolve(store, NAMES[number]) for number in numbers)
    return np.frombuffer(found, np.uint8).reshape(-1, 32)


def write(store: Store, source: str, number: int, label: str | None, polarity: bool | None = True) -> str:
    """Write one statement in a run of its own."""
    with store.run("test", {}) as run:
        append(store, run.name, ids=ids(store, number), labels=[label], source=source, polarity=polarity)
    return run.name


def labelled(store: Store, classes: dict[str, list[int]], **details) -> str:
    """Write what `engine label` writes."""
    asked = {"labeler": "nearest", "space": "clip", "threshold": 0.75, "classes": list(classes)}
    with store.run("label", asked | details) as run:
        for name, numbers in classes.items():
            scores = np.array([number / 10 for number in numbers])
            append(store, run.name, ids=ids(store, *numbers), labels=[name] * len(numbers), source="run", scores=scores)
        run.result.update(
            labelled=sum(map(len, classes.values())),
            classes={name: {"labelled": len(numbers)} for name, numbers in classes.items()},
        )
    return run.name


def counting(store: Store) -> dict[int, str]:
    """Return the label that counts of each numbered image; the three ways of asking must agree."""
    known = {resolve(store, name): number for number, name in enumerate(NAMES)}
    by_id = labels_of(store, list(known))
    table = all_labels(store)
    assert dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)) == by_id
    for label in set(by_id.values()):
        chosen = {row.tobytes() for row in matching(store, f"label = '{label}'")}
        assert chosen == {image for image, other in by_id.items() if other == label}
    return {number: by_id[image] for image, number in known.items() if image in by_id}


# --- append ---


def test_a_run_makes_statements_of_its_own_and_the_data_does_not(store):
    images = ids(store, 0, 1)
    one, two = (store.begin("test", {}) for _ in range(2))
    for source, again in (("human", 2), ("run", 2), ("given", 0), ("truth", 0)):
        assert append(store, one, ids=images, labels=["x", "y"], source=source) == 2
        assert append(store, one, ids=images, labels=["x", "y"], source=source) == 0
        assert append(store, two, ids=images, labels=["x", "y"], source=source) == again
    # What ingest has written is the same statement.
    row = label_row(images[0].tobytes(), "x", source="given", run=two)
    assert row["key"] in {one["key"] for one in store.labels.rows(["key"])}


def test_append_writes_every_column_once_in_blocks(store, monkeypatch):
    monkeypatch.setattr("engine.labeling.labels.BLOCK_ROWS", 3)
    images, scores = ids(store, 0, 1, 2, 3, 1), np.array([0.1, np.nan, 0.3, 0.4, 0.5])
    run = store.begin("test", {})
    assert append(store, run, ids=images, labels=["x"] * 5, source="run", scores=scores, kind="cluster") == 4
    rows = {row["id"]: row for row in store.labels.rows()}
    assert [rows[image.tobytes()]["score"] for image in images[:4]] == [0.1, None, 0.3, 0.4]
    assert {(row["label"], row["polarity"], row["kind"], row["source"], row["run"]) for row in rows.values()} == {
        ("x", True, "cluster", "run", run)
    }
    assert append(store, run, ids=images[:2], labels=["x", "x"], source="run") == 2
    assert append(store, run, ids=images[[0, 0]], labels=["z", "z"], source="run") == 1
    with pytest.raises(ValueError, match="5 ids, 1 labels"):
        append(store, run, ids=images, labels=["x"], source="run")


# --- whose word counts ---


def test_the_newest_word_of_a_person_counts(store):
    set_label(store, NAMES[0], "x")
    assert set_label(store, NAMES[0], "y").label == "y"
    assert counting(store) == {0: "y"}
    assert set_label(store, NAMES[0], "x").label == "x"
    # "Is not" another class leaves it, "is not" this one replaces it, and the older one does not come back.
    assert set_label(store, NAMES[0], "y", polarity=False).label == "x"
    assert set_label(store, NAMES[0], "x", polarity=False).label is None
    assert set_label(store, NAMES[0], "x").label == "x"
    assert counting(store) == {0: "x"}
    assert conflicting(store) == 0


def test_a_veto_counts_against_everybody(store):
    run = labelled(store, {"x": [0], "y": [1]})
    accept(store, run)
    for source in ("given", "exemplar"):
        write(store, source, 0, "x")
    assert counting(store) == {0: "x", 1: "y"}
    set_label(store, NAMES[0], "x", polarity=False)
    assert counting(store) == {1: "y"}
    write(store, "given", 0, "z")
    assert counting(store) == {0: "z", 1: "y"}
    # An example of what a class is not is a person's word too.
    write(store, "exemplar", 1, "y", polarity=False)
    assert counting(store) == {0: "z"}
    # A run's own "is not" is nobody's.
    write(store, "run", 0, "z", polarity=False)
    assert counting(store) == {0: "z"}


def test_unset_takes_back_what_people_said_and_no_more(store):
    write(store, "given", 0, "g")
    write(store, "exemplar", 0, "e")
    set_label(store, NAMES[0], "h")
    set_label(store, NAMES[0], "n", polarity=False)
    assert counting(store) == {0: "h"}
    assert unset_label(store, NAMES[0], "h").label == "e"
    assert unset_label(store, NAMES[0], "nobody said it").run is None
    # What was set goes first; that the image is an exemplar stands, is said, and goes when it is asked once more.
    done = unset_label(store, NAMES[0])
    assert (done.label, done.taken, done.left) == ("e", (Said("human", "n", False),), (Said("exemplar", "e", True),))
    done = unset_label(store, NAMES[0])
    assert (done.label, done.taken, done.left) == ("g", (Said("exemplar", "e", True),), ())
    revert(store, done.run)
    assert counting(store) == {0: "e"}
    unset_label(store, NAMES[0])
    assert statements(store, ["human", "exemplar"]).num_rows == 0
    assert unset_label(store, NAMES[0]).run is None
    assert set_label(store, NAMES[0], "h").label == "h"
    # Taking back is a run like others and can be taken back.
    undone = unset_label(store, NAMES[0])
    revert(store, undone.run)
    assert counting(store) == {0: "h"}
    assert verify(store).ok


def test_a_proposed_run_counts_for_nothing_until_it_is_accepted(store):
    write(store, "given", 0, "g")
    first = labelled(store, {"x": [0, 1, 2], "y": [3]})
    second = labelled(store, {"x": [3, 4], "y": [1]})
    assert counting(store) == {0: "g"}
    assert accept(store, first).others == []
    assert counting(store) == {0: "g", 1: "x", 2: "x", 3: "y"}
    assert accept(store, second).others == [first]
    assert counting(store) == {0: "g", 1: "y", 2: "x", 3: "x", 4: "x"}
    # What was accepted last comes first, whichever run is the older.
    revert(store, first)
    assert counting(store) == {0: "g", 1: "y", 3: "x", 4: "x"}
    accept(store, first)
    assert counting(store) == {0: "g", 1: "x", 2: "x", 3: "y", 4: "x"}
    revert(store, first)
    assert counting(store) == {0: "g", 1: "y", 3: "x", 4: "x"}
    assert [(one["run"], one["state"]) for one in label_runs(store)] == [(first, "reverted"), (second, "accepted")]


def test_deciding_twice_writes_once(store):
    run = labelled(store, {"x": [0]})
    for decide in (accept, revert, accept):
        assert decide(store, run).run is not None
        before = store.versions()
        assert decide(store, run).run is None
        assert store.versions() == before


def test_a_reverted_import_uncovers_what_was_said_before(store, tmp_path):
    set_label(store, NAMES[0], "x")
    (tmp_path / "l.csv").write_text(f"image,label\n{NAMES[0]},y\n{NAMES[1]},y\n")
    done = import_labels(store, tmp_path / "l.csv")
    assert counting(store) == {0: "y", 1: "y"}
    assert accept(store, done.run).run is None
    revert(store, done.run)
    assert counting(store) == {0: "x"}
    accept(store, done.run)
    assert counting(store) == {0: "y", 1: "y"}


@pytest.mark.parametrize("source", ["human", "exemplar", "run"])
def test_a_run_that_was_killed_or_failed_has_said_nothing(store, source):
    set_label(store, NAMES[0], "before")
    write(store, "given", 1, "g")
    with pytest.raises(RuntimeError), store.run("labels import", {}) as failed:
        append(store, failed.name, ids=ids(store, 0, 1), labels=["x", "x"], source=source)
        # Nobody hears it before it is whole.
        assert counting(store) == {0: "before", 1: "g"}
        raise RuntimeError
    killed = store.begin("labels import", {})
    append(store, killed, ids=ids(store, 0, 1), labels=["x", "x"], source=source)
    append(store, killed, ids=ids(store, 2), labels=["d"], source="given")
    # What came with the data is one row, whichever run has written it: the next finds it there.
    assert counting(store) == {0: "before", 1: "g", 2: "d"}
    assert class_names(store) == ["before", "d", "g"]
    for run in (failed.name, killed):
        with pytest.raises(BadInput, match="no run that labelled"):
            accept(store, run)


def test_exemplars_outlive_the_run_that_remembered_them(store):
    run = labelled(store, {"x": [1]})
    append(store, run, ids=ids(store, 0), labels=["x"], source="exemplar")
    accept(store, run)
    assert counting(store) == {0: "x", 1: "x"}
    revert(store, run)
    assert counting(store) == {0: "x"}


def test_a_conflict_of_equals_is_no_label_and_is_told(store):
    run = labelled(store, {"x": [0, 1], "y": [1]})
    accept(store, run)
    write(store, "given", 2, "x")
    write(store, "given", 2, "y")
    assert counting(store) == {0: "x"}
    found = label_counts(store)
    assert (found["conflicts"], sorted(found["conflicting"])) == (2, ["a/1.png", "a/2.png"])
    assert (found["labels"], found["unlabelled"]) == ({"x": 1}, NUMBER + 1 - 1)
    set_label(store, NAMES[2], "y")
    assert (counting(store), conflicting(store)) == ({0: "x", 2: "y"}, 1)


def test_statements_are_what_counts_among_the_sources(store):
    write(store, "given", 0, "x")
    write(store, "exemplar", 0, "y")
    write(store, "given", 1, "x")
    write(store, "given", 1, "y")
    write(store, "exemplar", 2, "x")
    set_label(store, NAMES[2], "x", polarity=False)
    write(store, "truth", 3, "t")
    accept(store, labelled(store, {"r": [4]}))
    labelled(store, {"r": [5]})
    name = {resolve(store, one): number for number, one in enumerate(NAMES)}

    def said(*sources: str) -> set[tuple]:
        rows = statements(store, sources).to_pylist()
        return {(name[row["id"]], row["label"], row["polarity"], row["source"]) for row in rows}

    assert said("given") == {(0, "x", True, "given"), (1, "x", True, "given"), (1, "y", True, "given")}
    assert said("exemplar") == {(0, "y", True, "exemplar")}
    assert said("human") == {(2, "x", False, "human")}
    both = {(1, "x", True, "given"), (1, "y", True, "given"), (2, "x", False, "human")}
    assert said("human", "exemplar", "given") == both | {(0, "y", True, "exemplar")}
    assert said("run") == {(4, "r", True, "run")}
    assert said(*PRECEDENCE) == both | {(0, "y", True, "exemplar"), (4, "r", True, "run")}
    assert class_names(store) == ["r", "x", "y"]
    with pytest.raises(ValueError, match="truth"):
        statements(store, ["given", "truth"])


# --- truth, runs ---


def test_truth_of_the_store_and_of_a_file(store, tmp_path):
    write(store, "truth", 0, "x")
    write(store, "truth", 1, "x")
    write(store, "truth", 1, "y")
    write(store, "given", 2, "x")
    assert truth(store).to_pylist() == [{"id": ids(store, 0)[0].tobytes(), "label": "x"}]
    (tmp_path / "t.csv").write_text("name,label\n0.png,q\na/9.png,r\n@2,s\n3,t\nagain.png,t\n4,\n")
    rows = truth(store, tmp_path / "t.csv").to_pylist()
    assert [row["label"] for row in rows] == ["q", "r", "s", "t"]
    assert [row["id"] for row in rows] == [one.tobytes() for one in ids(store, 0, 9, 2, 3)]
    (tmp_path / "t.csv").write_text("image,label\n0.png,q\nnone,r\nnobody,r\n")
    with pytest.raises(BadInput, match=r"'none' \(and 1 names more\)"):
        truth(store, tmp_path / "t.csv")


def test_the_labels_of_a_run(store):
    run = labelled(store, {"y": [1, 2], "x": [3]})
    rows = run_labels(store, run).to_pylist()
    expected = zip(ids(store, 1, 2, 3), "yyx", (0.1, 0.2, 0.3), strict=True)
    assert {(r["id"], r["label"], r["score"]) for r in rows} == {(i.tobytes(), c, s) for i, c, s in expected}
    (one,) = label_runs(store)
    # In the order in which they were given, not in that of the alphabet.
    assert list(one["classes"].items()) == [("y", {"labelled": 2}), ("x", {"labelled": 1})]
    assert (one["labeler"], one["space"], one["threshold"], one["labelled"]) == ("nearest", "clip", 0.75, 3)
    with pytest.raises(BadInput, match=f"'nosuch' is no run that labelled; there is {run}"):
        run_labels(store, "nosuch")


def test_a_run_that_failed_cannot_be_accepted(store):
    with pytest.raises(RuntimeError), store.run("label", {}) as run:
        raise RuntimeError
    killed = store.begin("label", {})
    assert label_runs(store) == []
    for name in (run.name, killed, store.begin("ingest", {})):
        with pytest.raises(BadInput, match="no run that labelled; there is none"):
            accept(store, name)
        with pytest.raises(BadInput, match="no run that labelled"):
            revert(store, name)


def test_what_two_runs_differ_in(store):
    first = labelled(store, {"x": [0, 1, 2, 3], "y": [4, 5]})
    second = labelled(store, {"x": [0, 4], "y": [5, 6, 1], "z": [7]})
    assert diff(store, first, second) == {
        "x": {"both": 1, "only_first": 2, "only_second": 0, "different": 2, "names": {
            "only_first": sorted(NAMES[2:4], key=lambda n: resolve(store, n)),
            "different": sorted([NAMES[1], NAMES[4]], key=lambda n: resolve(store, n)),
        }},
        "y": {"both": 1, "only_first": 0, "only_second": 1, "different": 2, "names": {
            "only_second": [NAMES[6]],
            "different": sorted([NAMES[1], NAMES[4]], key=lambda n: resolve(store, n)),
        }},
        "z": {"both": 0, "only_first": 0, "only_second": 1, "different": 0, "names": {"only_second": [NAMES[7]]}},
    }  # fmt: skip
    assert all(one["names"] == {} for one in diff(store, first, first).values())


def test_labels_that_are_asked_again_follow_every_change(store):
    images = [bytes(one) for one in ids(store, 0, 1, 2)]
    for label in ("first", "second"):
        set_label(store, NAMES[0], label)
        answers = [labels_of(store, images) for _ in range(3)]
        assert answers[0] == answers[1] == answers[2]
        assert answers[0][images[0]] == label
        assert labels_of(store, [b"x" * 32, images[0]]) == {images[0]: label}
    set_label(store, NAMES[1], "third")
    assert labels_of(store, images)[images[1]] == "third"
    assert labels_of(store, []) == {}


# --- files and bad input ---


def test_an_import_knows_every_way_to_name_an_image(store, tmp_path):
    digits = ids(store, 5)[0].tobytes().hex()[:12]
    lines = ["a/0.png,x", "1.png,x", "2,y", "@4,y", f"id:{digits},z", "pile@6,z", "8.png,z", "7,", "again,x"]
    (tmp_path / "l.csv").write_text("\n".join(["image,label", *lines]))
    done = import_labels(store, tmp_path / "l.csv")
    assert (done.labels, done.classes) == (8, {"x": 3, "y": 2, "z": 3})
    assert counting(store) == {0: "x", 1: "x", 2: "y", 3: "x", 4: "y", 5: "z", 6: "z", 8: "z"}
    assert {row["label"] for row in statements(store, ["human"]).to_pylist() if row["run"] == done.run} == set("xyz")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a/0.png,x\nnone,x", "no image is called 'none'"),
        ("nobody,x\nnone,x\n0,x", r"no image is called 'nobody' \(and 1 names more\)"),
        ("9,x", "'9' names 2 images"),
        ("a/0.png,x\n0,y", "labels 1 image twice and differently, for instance a/0.png is x, 0 is y"),
        ("a/3.png,x\nagain.png,y", "a/3.png is x, again.png is y: these are the same image"),
        ("0,Cat\n1,cat", "'Cat' and 'cat' differ in nothing but case"),
        ("0,KNOWN", "'Known' and 'KNOWN'"),
        ("0,\n1, ", "labels no image"),
        ('0,"a\nb"', r"'a\\nb', has a line break"),
        ("0,a\0b", "control character"),
        (f"0,{'a' * 201}", "has 201 characters"),
        ("id:zzz,x", "not id:"),
        ("@99,x", "'@99'"),
    ],
)
def test_an_import_that_is_wrong_writes_nothing(store, tmp_path, lines, message):
    set_label(store, NAMES[8], "Known")
    before = store.versions()
    (tmp_path / "l.csv").write_text(f"image,label\n{lines}\n")
    with pytest.raises(BadInput, match=message) as caught:
        import_labels(store, tmp_path / "l.csv")
    assert caught.value.remedy
    assert store.versions() == before


def test_what_cannot_be_set(store):
    set_label(store, NAMES[0], "x")
    before = store.versions()
    with pytest.raises(BadInput, match="differ in nothing but case"):
        set_label(store, NAMES[1], "X")
    for label, message in (
        ("  ", "no name"),
        ("\x1b[31m", "control"),
        ("\ud800", "control"),
        ("a\u2028b", "line break"),
    ):
        with pytest.raises(BadInput, match=message):
            set_label(store, NAMES[1], label)
    with pytest.raises(NoSuchImage):
        set_label(store, "nosuch", "x")
    with pytest.raises(NoSuchImage):
        unset_label(store, "nosuch")
    assert store.versions() == before
    # A spelling that was taken back is free.
    unset_label(store, NAMES[0])
    assert set_label(store, NAMES[1], "X").label == "X"
    # Letters of every kind are a name, whichever way they are composed.
    assert set_label(store, NAMES[2], "👩‍🌾 é").label == "👩‍🌾 é"
    with pytest.raises(BadInput, match="differ in nothing but case"):
        set_label(store, NAMES[3], "👩‍🌾 e\u0301")


def test_what_no_reader_of_json_takes_spoils_nothing(store):
    set_label(store, NAMES[0], "x")
    # A path that is not UTF-8, today and as earlier versions wrote it.
    with store.run("test", {"path": "\udcff"}) as run:
        run.result["path"] = "\udcff"
    assert json.loads(store.runs.rows(["details"], f"run = '{run.name}'")[0]["details"]) == {"path": "?"}
    rows = [
        {"run": "old", "event": event, "time": 1.0, "command": "test", "details": '{"path": "\\udcff"}'}
        for event in ("start", "end")
    ]
    store.runs.merge(pa.Table.from_pylist(rows, store.runs.schema))
    assert counting(store) == {0: "x"}


def test_a_decision_is_not_decided_on(store):
    run = labelled(store, {"x": [0]})
    decided = [accept(store, run).run, revert(store, run).run]
    with store.run("exemplar", {}) as exemplars:
        append(store, exemplars.name, ids=ids(store, 1), labels=["x"], source="exemplar")
    before = store.versions()
    for decide in (accept, revert):
        for name in decided:
            with pytest.raises(BadInput, match=f"it decided on {run}") as caught:
                decide(store, name)
            assert f"engine labels accept {run}" in caught.value.remedy
        with pytest.raises(BadInput, match="remembered exemplars"):
            decide(store, exemplars.name)
    assert store.versions() == before


def test_a_removed_image_owns_its_name_and_has_no_label(store, tmp_path):
    from engine.remove import remove

    set_label(store, NAMES[0], "x")
    remove(store, [NAMES[0]])
    assert all_labels(store).num_rows == 0
    (tmp_path / "l.csv").write_text("image,label\na/0.png,x\n")
    with pytest.raises(BadInput, match="was removed"):
        import_labels(store, tmp_path / "l.csv")
    assert verify(store).ok


# --- the Python API ---


def test_the_collection_says_what_the_commands_say(store, tmp_path):
    labels = engine_package.open(store.path).labels
    assert labels.set(NAMES[0], "x").label == "x"
    assert labels.set(NAMES[0], "x", negative=True).label is None
    assert labels.unset(NAMES[0]).label is None
    (tmp_path / "l.csv").write_text("image,label\n1,x\n2,y\n")
    assert labels.import_file(tmp_path / "l.csv").classes == {"x": 1, "y": 1}
    one, two = labelled(store, {"x": [3, 4]}), labelled(store, {"x": [4]})
    assert (labels.accept(one).state, labels.revert(two).state) == ("accepted", "reverted")
    assert labels.diff(one, two) == diff(store, one, two)
    assert labels.counts() == label_counts(store)
    assert labels.counts()["labels"] == {"x": 3, "y": 1}
    (tmp_path / "i.csv").write_text("index\n2\n4\n5\n")
    done = labels.export(tmp_path / "o.csv", form="onehot", indices=tmp_path / "i.csv", classes=["y", "x"])
    assert (done.rows, done.labelled) == (3, 2)
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert lines == ["image,label", '2,"[1.0, 0.0]"', '4,"[0.0, 1.0]"', '5,"[0.0, 0.0]"']
    assert labels.export(str(tmp_path / "r.csv"), run=two).labelled == 1


# --- the commands ---


def test_the_commands(store, engine, tmp_path):
    def told(*arguments: str, **options) -> dict:
        return json.loads(engine("labels", *arguments, "--json", "--store", store.path, **options).stdout)

    done = told("set", NAMES[0], "x")
    image = {"id": ids(store, 0)[0].tobytes().hex(), "image": NAMES[0]}
    assert done == {"run": done["run"], **image, "label": "x", "taken": [], "left": []}
    assert told("set", NAMES[0], "x", "--not")["label"] is None
    assert told("unset", NAMES[0])["taken"] == [{"source": "human", "label": "x", "polarity": False}]
    write(store, "exemplar", 0, "x")
    engine("labels", "set", NAMES[0], "y", "--store", store.path)
    for shown in ("x (taken back: y; still an exemplar of x: unset it again to take that back too)",
                  "no label (taken back: an exemplar of x)", "no label (nothing to take back)"):  # fmt: skip
        assert engine("labels", "unset", NAMES[0], "--store", store.path).stdout == f"{NAMES[0]}: {shown}\n"
    (tmp_path / "l.csv").write_text("image,label\n1,x\n2,y\n")
    done = told("import", "l.csv")
    assert done == {"run": done["run"], "labels": 2, "classes": {"x": 1, "y": 1}, "scored": 0}
    one, two = labelled(store, {"x": [3, 4]}), labelled(store, {"x": [4]})
    assert told("accept", one) | {"run": None} == {"run": None, "labels": one, "state": "accepted", "others": []}
    assert told("diff", one, two) == {"runs": [one, two], "classes": diff(store, one, two)}
    assert told() == label_counts(store)
    shown = engine("labels", "--store", store.path)
    assert shown.stdout == "class\tcounts\thuman\trun\nx\t3\t1\t2\ny\t1\t1\t0\n"
    assert f"engine labels accept {two}" in shown.stderr
    engine("labels", "export", "--run", two, "--output", "run.csv", "--store", store.path)
    imported = engine("labels", "import", "run.csv", "--store", store.path)
    assert "1 of them has a score, as an export of a run does, and is a person's word from now on" in imported.stderr
    assert f"take it back: engine labels revert {imported.stdout.split()[-1]}" in imported.stderr
    engine("labels", "revert", imported.stdout.split()[-1], "--store", store.path)
    assert told("revert", one)["state"] == "reverted"
    assert f"{one} was reverted already" in engine("labels", "revert", one, "--store", store.path).stdout
    for number in range(6):
        labelled(store, {"x": [number]})
    write(store, "truth", 5, "true")
    told_all, told_some = (engine("labels", *more, "--store", store.path) for more in (("--all",), ()))
    assert told_all.stderr.count("proposed: ") == told_some.stderr.count("proposed: ") + 2 == 7
    assert "and 3 older runs: engine labels --all" in told_some.stderr
    assert "truth, for evaluation: 1 image of 1 class" in told_some.stderr and "true" not in told_some.stdout
    wrong = engine("labels", "--store", store.path, "set", "1", "x", check=False)
    assert (wrong.returncode, "engine labels set" in wrong.stderr) == (2, True)
