"""Labels by exemplars: against NumPy over the stored vectors, what is written, and what is refused before that."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import engine
from engine.drawing.labels import draw_labels, paths
from engine.errors import BadInput, EmptySpace, NoSuchImage
from engine.info import runs
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.labeling.label import label
from engine.labeling.label_report import Truth, apart
from engine.labeling.label_rule import Rule
from engine.labeling.label_scan import at
from engine.labeling.labels import append, truth
from engine.remove import remove
from engine.store import Store
from engine.store.names import resolve
from labelers import Exemplars, centroid, nearest, vote
from labelers.metrics import wilson
from tests.engine.colour import SPEC, picture, write_tar

COSINE = {"nearest": nearest, "centroid": centroid, "vote": vote}
TWO = [("sunflower", "3"), ("Leopards", "1")]
CLASSES = ("Leopards", "sunflower")


@pytest.fixture
def store(tmp_path, sample_store) -> Store:
    shutil.copytree(sample_store, tmp_path / "store")
    return Store.open(tmp_path / "store")


@pytest.fixture(scope="module")
def classes(sample_labels) -> dict[str, str]:
    with sample_labels.open(newline="") as file:
        return {row["image"]: row["label"] for row in csv.DictReader(file)}


@pytest.fixture
def colours(tmp_path) -> Store:
    """Return a store of six plain pictures whose cosines can be worked out by hand, without labels."""
    made = {
        "red.png": (200, 0, 0), "red2.png": (200, 60, 0), "green.png": (0, 200, 0), "green2.png": (0, 200, 60),
        "olive.png": (150, 150, 0), "blue.png": (0, 0, 200),
    }  # fmt: skip
    files = {name: picture(colour, (8 + place, 8)) for place, (name, colour) in enumerate(made.items())}
    tar = write_tar(tmp_path / "colours.tar", files)
    intake(tmp_path / "colours", Request([str(tar)], encoders=[SPEC], workers=1))
    return Store.open(tmp_path / "colours")


def names(store: Store) -> dict[bytes, str]:
    return {row["image"]: row["name"] for row in store.members.rows(["image", "name"], "image IS NOT NULL")}


def written(store: Store, run: str) -> dict[str, tuple[str, float | None]]:
    """Return name → (label, score) of a run's rows."""
    known = names(store)
    rows = store.labels.rows(where=f"run = '{run}' AND source = 'run'")
    assert {(row["polarity"], row["kind"]) for row in rows} <= {(True, "class")}
    assert len({row["key"] for row in rows}) == len(rows)
    return {known[row["id"]]: (row["label"], row["score"]) for row in rows}


def examples(store: Store, pairs=TWO) -> tuple[np.ndarray, Exemplars]:
    """Return the stored vectors, and the pairs as what labelers take."""
    vectors = store.vectors(store.space(None))
    order = sorted(pairs)
    ids = np.frombuffer(b"".join(resolve(store, name) for _, name in order), np.uint8).reshape(-1, 32)
    codes = np.array([CLASSES.index(one) for one, _ in order], np.int32)
    matrix = np.asarray(vectors.matrix[vectors.positions(ids)])
    return vectors.matrix, Exemplars(CLASSES, matrix, codes, np.ones(len(codes), bool))


def give_truth(store: Store, classes: dict[str, str]) -> None:
    known = names(store)
    ids = np.frombuffer(b"".join(known), np.uint8).reshape(-1, 32)
    append(store, "truth", ids=ids, labels=[classes[name] for name in known.values()], source="truth")


def test_labels_are_those_of_numpy(store):
    (run,) = label(store, Rule(thresholds=[0.6]), exemplars=TWO).runs
    X, known = examples(store)
    # Stored rows are of unit length in float32 only.
    U, E = (rows.astype(np.float64) for rows in (X, known.matrix))
    S = (U / np.linalg.norm(U, axis=1, keepdims=True)) @ (E / np.linalg.norm(E, axis=1, keepdims=True)).T
    best, score = S.argmax(axis=1), S.max(axis=1)
    ids, known_names = store.vectors(store.space(None)).ids, names(store)
    expected = {known_names[one.tobytes()]: CLASSES[b] for one, b, s in zip(ids, best, score, strict=True) if s >= 0.6}
    rows = written(store, run.run)
    assert {name: value for name, (value, _) in rows.items()} == expected
    scores = {known_names[one.tobytes()]: s for one, s in zip(ids, score, strict=True)}
    for name, (_, value) in rows.items():
        assert value == pytest.approx(scores[name], abs=1e-12)
    assert run.coverage == len(expected) / 340
    assert sum(one.labelled for one in run.classes.values()) == len(expected)


@pytest.mark.parametrize("labeler", COSINE)
def test_several_thresholds_are_what_each_alone_gives(store, labeler):
    done = label(store, Rule(labeler, thresholds=[0.8, 0.5, 0.65], margin=0.01), exemplars=TWO)
    # Voting also takes what came with the data; here it is compared on the exemplars that it used.
    X = store.vectors(store.space(None)).matrix
    where = store.vectors(store.space(None)).positions(done.known.ids)
    known = Exemplars(done.known.classes, np.asarray(X[where]), done.known.codes, done.known.polarity)
    for run, threshold in zip(done.runs, (0.8, 0.5, 0.65), strict=True):
        alone = COSINE[labeler].label(X, known, threshold=threshold, margin=0.01)
        np.testing.assert_array_equal(run.answer.codes, alone.codes)
        np.testing.assert_array_equal(run.answer.conflict, alone.conflict)
        np.testing.assert_array_equal(run.answer.scores[alone.codes >= 0], alone.scores[alone.codes >= 0])
        assert len(written(store, run.run)) == np.count_nonzero(alone.codes >= 0)


def test_a_score_exactly_on_the_threshold_is_labelled(store):
    (run,) = label(store, Rule(thresholds=[0.6]), exemplars=TWO).runs
    on = float(run.answer.scores[run.answer.codes >= 0].min())
    exact, above = label(store, Rule(thresholds=[on, np.nextafter(on, 1)])).runs
    assert np.count_nonzero(exact.answer.codes >= 0) == np.count_nonzero(above.answer.codes >= 0) + 1
    assert np.count_nonzero(at(run.answer, on).codes >= 0) == np.count_nonzero(exact.answer.codes >= 0)


def test_exemplars_are_remembered(store):
    first = label(store, Rule(thresholds=[0.6]), exemplars=TWO)
    assert first.remembered
    again = label(store, Rule(thresholds=[0.6]))
    assert again.remembered is None
    assert written(store, again.runs[0].run) == written(store, first.runs[0].run)
    # Saying it once more writes nothing; one that is new is added to the others.
    more = label(store, Rule(thresholds=[0.6]), exemplars=[*TWO, ("sunflower", "338")])
    rows = store.labels.rows(where="source = 'exemplar'")
    assert sorted(row["label"] for row in rows) == ["Leopards", "sunflower", "sunflower"]
    assert {row["run"] for row in rows} == {first.remembered, more.remembered}
    assert more.runs[0].classes["sunflower"].labelled >= first.runs[0].classes["sunflower"].labelled


def test_negative_exemplars_take_away(colours):
    rule = Rule(thresholds=[0.6])
    before = label(colours, rule, exemplars=[("red", "red")]).runs[0]
    assert set(written(colours, before.run)) == {"red.png", "red2.png", "olive.png"}
    after = label(colours, rule, negatives=[("red", "olive")]).runs[0]
    assert set(written(colours, after.run)) == {"red.png", "red2.png"}
    kept = label(colours, rule).runs[0]
    assert written(colours, kept.run) == written(colours, after.run)


def test_ties_are_conflicts_and_a_margin_makes_more(colours):
    (run,) = label(colours, Rule(thresholds=[0.5]), exemplars=[("red", "red"), ("green", "green")]).runs
    assert (run.conflicts, [hit.name for hit in run.conflicting]) == (1, ["olive.png"])
    assert run.conflicting[0].score == pytest.approx(np.sqrt(0.5))
    assert "olive.png" not in written(colours, run.run)
    (wide,) = label(colours, Rule(thresholds=[0.5], margin=0.8)).runs
    # red2: 200 and 60 of √(200² + 60²) are 0.958 and 0.287.
    assert [hit.name for hit in wide.conflicting] == ["red2.png", "olive.png"]


def test_without_exemplars_people_and_data_are_asked(store, classes):
    done = label(store, Rule(thresholds=[0.9]))
    assert (done.known.sources, len(done.known.classes)) == (("human", "given"), len(set(classes.values())))
    assert len(done.known.ids) == 340
    # Everybody is an exemplar: nobody is left to be judged or labelled otherwise.
    rows = written(store, done.runs[0].run)
    assert {name: value for name, (value, _) in rows.items()} == {name: classes[name] for name in rows}
    ids = np.frombuffer(resolve(store, "3"), np.uint8)[None]
    with store.run("labels set", {}) as run:
        append(store, run.name, ids=ids, labels=["Leopards"], source="human")
    again = label(store, Rule(thresholds=[0.9]))
    assert written(store, again.runs[0].run)["images/3.jpeg"][0] == "Leopards"


def test_a_person_outranks_an_exemplar(store):
    label(store, Rule(thresholds=[0.6]), exemplars=[*TWO, ("sunflower", "338")])
    ids = np.frombuffer(resolve(store, "338"), np.uint8)[None]
    with store.run("labels set", {}) as run:
        append(store, run.name, ids=ids, labels=["sunflower"], source="human", polarity=False)
    done = label(store, Rule(thresholds=[0.6]))
    assert done.known.by_class()["sunflower"] == [resolve(store, "3").hex()]


def test_an_exemplar_that_a_person_confirms_is_one_all_the_same(store, engine):
    before = label(store, Rule(thresholds=[0.6]), exemplars=TWO).runs[0]
    rows = store.labels.rows(where=f"run = '{before.run}'")
    ids = np.frombuffer(b"".join(row["id"] for row in rows), np.uint8).reshape(-1, 32)
    with store.run("labels import", {}) as run:
        append(store, run.name, ids=ids, labels=[row["label"] for row in rows], source="human")
    after = label(store, Rule(thresholds=[0.6]))
    assert written(store, after.runs[0].run) == written(store, before.run)
    counts = {"exemplar": 2, "human": len(rows) - 2, "given": 340 - len(rows)}
    assert (after.known.sources, after.known.counts) == (("exemplar",), counts)
    shown = engine("label", "--threshold", "0.6", "--store", store.path).stderr
    assert "from 2 exemplars (Leopards 1, sunflower 1); left out, as there are exemplars: " in shown
    assert f"{len(rows) - 2} labels that people gave and {340 - len(rows)} labels that came with the data" in shown


def test_a_class_with_nothing_but_its_exemplar_says_so(store, engine):
    pairs = [part for one, name in TWO for part in ("--exemplar", f"{one}={name}")]
    done = engine("label", *pairs, "--threshold", "0.99", "--store", store.path)
    X, known = examples(store)
    S = np.sort(X.astype(np.float64) @ known.matrix.astype(np.float64).T, axis=0)
    assert [line.split("\t")[4:6] for line in done.stdout.splitlines()[1:]] == [["1", "1"]] * 2
    for code, name in enumerate(CLASSES):
        assert f"  {name}: only the exemplar; closest other {S[-2, code]:.4f}\n" in done.stderr


@pytest.mark.parametrize(
    ("score", "threshold", "text"),
    [(0.69997, 0.7, "0.69997"), (0.6999, 0.7, "0.6999"), (0.7, 0.7, "0.7000"), (0.70003, None, "0.7000"),
     (0.71234, 0.712339, "0.71234")],
)  # fmt: skip
def test_a_score_keeps_to_its_side_of_the_threshold(score, threshold, text):
    assert apart(score, threshold) == text


def test_the_rest_is_not_judged_by_a_truth_that_knows_none_of_the_classes(store, classes):
    give_truth(store, dict.fromkeys(classes, "something else"))
    (run,) = label(store, Rule(thresholds=[0.6], none_label="etc"), exemplars=TWO).runs
    assert [one.precision for one in run.classes.values()] == [None] * 3


def test_votes_take_all_labels_there_are(store):
    done = label(store, Rule("vote", thresholds=[0.5], k=3), exemplars=TWO)
    assert (done.known.sources, len(done.known.ids)) == (("human", "exemplar", "given"), 340)


def test_precision_and_recall_come_from_truth_alone(store, classes):
    blind = label(store, Rule(thresholds=[0.6]), exemplars=TWO).runs[0]
    assert blind.classes["sunflower"].precision is None
    give_truth(store, {name: classes[name] for name in classes})
    (run,) = label(store, Rule(thresholds=[0.6])).runs
    # Truth changes no label.
    assert written(store, run.run) == written(store, blind.run)
    rows = {
        name: value
        for name, (value, _) in written(store, run.run).items()
        if name not in ("images/3.jpeg", "images/1.jpeg")
    }
    for name in CLASSES:
        found = [classes[one] == name for one, value in rows.items() if value == name]
        members = sum(value == name for value in classes.values()) - 1
        got = run.classes[name]
        assert (got.support, got.precision, got.recall) == (members, sum(found) / len(found), sum(found) / members)
        assert (got.precision_low, got.precision_high) == pytest.approx(tuple(wilson(sum(found), len(found))))
        assert (got.recall_low, got.recall_high) == pytest.approx(tuple(wilson(sum(found), members)))


def test_two_truths_of_an_image_are_none(store):
    ids = np.frombuffer(b"".join(resolve(store, name) for name in ("3", "1")), np.uint8).reshape(-1, 32)
    append(store, "a", ids=ids, labels=["sunflower", "Leopards"], source="truth")
    append(store, "b", ids=ids[:1], labels=["Leopards"], source="truth")
    assert Truth.of(truth(store), CLASSES).codes(ids).tolist() == [-2, 0]


def test_the_rest_is_written_and_drawn(store):
    whole = label(store, Rule(thresholds=[0.6], none_label=" etc "), exemplars=TWO).runs[0]
    rows = written(store, whole.run)
    of_class = sum(value != "etc" for value, _ in rows.values())
    assert len(rows) == 340 - whole.conflicts and 0 < of_class < 100
    assert {score for value, score in rows.values() if value == "etc"} == {None}
    assert whole.classes["etc"].labelled == len(rows) - of_class
    rule = Rule(thresholds=[0.6], none_label="etc", balance=1.5, seed=7)
    one, other = (written(store, label(store, rule).runs[0].run) for _ in range(2))
    assert one == other
    drawn = {name for name, (value, _) in one.items() if value == "etc"}
    assert len(drawn) == round(1.5 * of_class)
    assert drawn < {name for name, (value, _) in rows.items() if value == "etc"}


def test_more_of_the_rest_than_there_is_is_told(store):
    done = label(store, Rule(thresholds=[0.6], none_label="etc", balance=1e30), exemplars=TWO)
    (run,) = done.runs
    rest = run.classes["etc"].labelled
    assert rest == 340 - run.conflicts - sum(run.classes[name].labelled for name in CLASSES)
    assert done.notes == [
        f"run {run.run}: there are only {rest} images of the rest, less than 1e+30 times {340 - rest}"
    ]


def test_many_exemplars_are_looked_up_at_once(store, classes, monkeypatch):
    pairs = [(label, name) for name, label in classes.items() if label in CLASSES]
    assert len(pairs) > 60
    done = label(store, Rule(thresholds=[0.6]), exemplars=pairs)
    monkeypatch.setattr("engine.labeling.exemplars.MANY", 1000)
    again = label(store, Rule(thresholds=[0.6]), exemplars=pairs)
    assert again.remembered is None
    found = done.known.by_class()
    assert again.known.by_class() == found
    assert {resolve(store, name).hex() for _, name in pairs} == {one for ids in found.values() for one in ids}


def test_a_class_that_the_truth_has_no_word_for_is_not_judged(store, classes):
    give_truth(store, classes)
    done = label(store, Rule(thresholds=[0.6]), exemplars=[("sunflower", "3"), ("Character1", "1")])
    (run,) = done.runs
    assert run.classes["Character1"].labelled > 1 and run.classes["Character1"].precision is None
    assert run.classes["sunflower"].precision is not None
    assert done.notes == ["the truth has no image of Character1: no precision and recall"]


def test_a_rate_becomes_the_threshold_of_the_space(store):
    done = label(store, Rule(fprs=[1e-2, 1e-3]), exemplars=TWO)
    from engine.retrieval.background import background

    space = store.space(None)
    random = background(store, space, store.vectors(space))
    assert [run.threshold for run in done.runs] == [random.threshold(1e-2), random.threshold(1e-3)]
    assert [run.fpr for run in done.runs] == [1e-2, 1e-3]


def test_propagate_labels_by_shares(store, classes):
    give_truth(store, classes)
    done = label(store, Rule("propagate", thresholds=[0.5]), exemplars=TWO)
    assert done.runs[0].fpr is None
    assert done.notes == ["graph of space efficientnet_lite0: exact, recall 1.000"]
    scores = [score for _, score in written(store, done.runs[0].run).values()]
    assert min(scores) >= 0.5 and max(scores) <= 1
    assert done.runs[0].classes["sunflower"].recall > 0.8


def test_a_condition_limits_what_is_labelled(store):
    for labeler in ("nearest", "propagate"):
        (whole,) = label(store, Rule(labeler, thresholds=[0.55]), exemplars=TWO).runs
        (part,) = label(store, Rule(labeler, thresholds=[0.55]), where="ordinal < 100").runs
        numbers = {name: int(name[7:-5]) for name in names(store).values()}
        expected = {name: row for name, row in written(store, whole.run).items() if numbers[name] < 100}
        got = written(store, part.run)
        assert {name: value for name, (value, _) in got.items()} == {
            name: value for name, (value, _) in expected.items()
        }
        assert part.images == 100
    (nothing,) = label(store, Rule(thresholds=[0.55]), where="ordinal < 0").runs
    assert (nothing.images, nothing.coverage, written(store, nothing.run)) == (0, 0.0, {})


def test_what_is_not_committed_yet_is_not_labelled(store):
    (before,) = label(store, Rule(thresholds=[0.6]), exemplars=TWO).runs
    lost = next(name for name in written(store, before.run) if name not in ("images/3.jpeg", "images/1.jpeg"))
    # As during an ingest: the vector is there, its row of the ledger is not.
    expected = written(store, before.run).keys() - {lost}
    store.members.delete(f"name = '{lost}'")
    (after,) = label(store, Rule(thresholds=[0.6])).runs
    assert after.images == 339
    assert written(store, after.run).keys() == expected


def test_a_run_says_how_its_scores_are_made(store):
    done = label(store, Rule(thresholds=[0.6], margin=0.02), exemplars=TWO, negatives=[("sunflower", "1")])
    (run,) = [one for one in runs(store) if one["run"] == done.runs[0].run]
    details, space = run["details"], store.space(None)
    assert (run["command"], run["state"]) == ("label", "done")
    assert details["exemplars"] == {"Leopards": [resolve(store, "1").hex()], "sunflower": [resolve(store, "3").hex()]}
    assert details["not"] == {"Leopards": [], "sunflower": [resolve(store, "1").hex()]}
    kept = ("labeler", "space", "fingerprint", "threshold", "margin", "k", "classes")
    assert [details[key] for key in kept] == ["nearest", space.name, space.fingerprint, 0.6, 0.02, None, list(CLASSES)]
    counts = {name: one.labelled for name, one in done.runs[0].classes.items()}
    assert run["result"] == {
        "labelled": sum(counts.values()), "coverage": sum(counts.values()) / 340, "classes": counts,
        "conflicts": done.runs[0].conflicts,
    }  # fmt: skip


@pytest.fixture
def two_spaces(store, tmp_path, sample_tar) -> Store:
    """Return the sample with a second space, of vectors that somebody brought: a random turn, some noise, 300 rows."""
    vectors = store.vectors(store.space(None))
    rng = np.random.default_rng(0)
    known, mine = names(store), np.full((340, 64), np.nan, np.float32)
    turned = vectors.matrix @ rng.standard_normal((1280, 64)).astype(np.float32)
    for row, one in zip(turned, vectors.ids, strict=True):
        mine[int(known[one.tobytes()][7:-5])] = row
    mine -= mine.mean(axis=0)
    np.save(tmp_path / "mine.npy", mine)
    intake(store.path, Request([str(sample_tar)], encoders=[], vectors=[f"mine={tmp_path / 'mine.npy'}"]))
    return store


def test_spaces_are_compared(two_spaces):
    spaces = ["efficientnet_lite0", "mine"]
    done = label(two_spaces, Rule(thresholds=[0.5, 0.7]), exemplars=TWO, compare=spaces, agree=True)
    assert [(run.labeler, run.space, run.threshold) for run in done.runs] == [
        ("nearest", "efficientnet_lite0", 0.5), ("nearest", "efficientnet_lite0", 0.7),
        ("nearest", "mine", 0.5), ("nearest", "mine", 0.7),
        ("agree", "efficientnet_lite0 + mine", 0.5), ("agree", "efficientnet_lite0 + mine", 0.7),
    ]  # fmt: skip
    rows = [{name: value for name, (value, _) in written(two_spaces, run.run).items()} for run in done.runs]
    for number, found in enumerate(done.comparisons):
        one, other, both = rows[number], rows[2 + number], rows[4 + number]
        assert both == {name: value for name, value in one.items() if other.get(name) == value}
        for name in CLASSES:
            a, b = ({image for image, value in part.items() if value == name} for part in (one, other))
            shared = found.classes[name]
            assert (shared.labelled, shared.shared) == ({spaces[0]: len(a), spaces[1]: len(b)}, len(a & b))
            assert shared.jaccard == len(a & b) / len(a | b)
        assert found.images == 340
        differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
        assert found.disagree == len(differing)
        assert {shown.name for shown in found.disagreeing} <= differing
        assert len(found.disagreeing) == min(5, len(differing))
        for shown in found.disagreeing:
            assert shown.labels == {spaces[0]: one.get(shown.name), spaces[1]: other.get(shown.name)}
    assert done.comparisons[0].kappa.shape == (2, 2)


def test_each_space_has_its_own_cosine_for_a_rate(two_spaces):
    done = label(two_spaces, Rule(fprs=[1e-2]), exemplars=TWO, compare=["efficientnet_lite0", "mine"], agree=True)
    assert done.runs[0].threshold != done.runs[1].threshold
    assert (done.runs[2].threshold, done.runs[2].fpr) == (None, 1e-2)


HALF = {"thresholds": [0.5]}
# What is asked → (what is said, the rule, the error).
REFUSED = {
    "no image": (dict(exemplars=[("a", "nobody")]), HALF, NoSuchImage, "no image is called 'nobody'"),
    "two classes": (dict(exemplars=[("a", "3"), ("b", "images/3.jpeg")]), HALF, BadInput, "are the same image"),
    "and not": (dict(exemplars=[("a", "5")], negatives=[("a", "@5")]), HALF, BadInput, "the same image, not to be"),
    "case": (dict(exemplars=[("a", "3"), ("A", "5")]), HALF, BadInput, "'a' and 'A' differ in nothing but case"),
    "case before": (dict(exemplars=[("Sunflower", "5")]), HALF, BadInput, "'sunflower' and 'Sunflower'"),
    "class before": (dict(exemplars=[("rose", "3")]), HALF, BadInput, "are the same image"),
    "not before": (dict(negatives=[("sunflower", "3")]), HALF, BadInput, "the same image, not to be"),
    "only not": (dict(negatives=[("rose", "5")]), HALF, BadInput, "and none of what it is"),
    "no class": (dict(exemplars=[(" ", "3")]), HALF, BadInput, "class of '3' has no name"),
    "line break": (dict(exemplars=[("a\nb", "3")]), HALF, BadInput, r"'a\\nb', has a line break"),
    "control": (dict(negatives=[("a\0", "3")]), HALF, BadInput, "control character"),
    "half a letter": (dict(exemplars=[("\udcff", "3")]), HALF, BadInput, "control character"),
    "long": (dict(exemplars=[("a" * 201, "3")]), HALF, BadInput, "has 201 characters"),
    "many": (dict(exemplars=[("rose", f"@{n}") for n in range(5, 40)] + [("rose", "nobody")]), HALF, BadInput,
             "--exemplar: no image is called 'nobody'"),
    "high": ({}, dict(thresholds=[1.01]), BadInput, r"threshold is 1\.01"),
    "nan": ({}, dict(thresholds=[float("nan")]), BadInput, "threshold is nan"),
    "share": ({}, dict(thresholds=[-0.1], labeler="propagate"), BadInput, "a share lies between 0 and 1"),
    "share by rate": ({}, dict(fprs=[1e-3], labeler="propagate"), BadInput, "is no cosine"),
    "both": ({}, dict(thresholds=[0.5], fprs=[1e-3]), BadInput, "are two thresholds"),
    "neither": ({}, {}, BadInput, "how close is close enough"),
    "twice": ({}, dict(thresholds=[0.5, 0.5]), BadInput, "names one twice"),
    "rate": ({}, dict(fprs=[0.0]), BadInput, r"--fpr is 0\.0"),
    "fine rate": ({}, dict(fprs=[1e-9]), BadInput, "random pairs resolve"),
    "margin": ({}, dict(thresholds=[0.5], margin=-0.1), BadInput, r"margin is -0\.1"),
    "k": ({}, dict(thresholds=[0.5], labeler="vote", k=0), BadInput, "k is 0"),
    "k of nearest": ({}, dict(thresholds=[0.5], k=3), BadInput, "means nothing to nearest"),
    "labeler": ({}, dict(thresholds=[0.5], labeler="guess"), BadInput, "--labeler guess"),
    "rest": ({}, dict(thresholds=[0.5], none_label="SunFlower"), BadInput, "is the class 'sunflower'"),
    "rest without name": ({}, dict(thresholds=[0.5], none_label=" "), BadInput, "has no name"),
    "rest in two lines": ({}, dict(thresholds=[0.5], none_label="a\nb"), BadInput, "has a line break"),
    "rest as given": ({}, dict(thresholds=[0.5], none_label="PIZZA"), BadInput, "'pizza' and 'PIZZA'"),
    "case as given": (dict(exemplars=[("Pizza", "5")]), HALF, BadInput, "'pizza' and 'Pizza'"),
    "negative ratio": ({}, dict(thresholds=[0.5], none_label="etc", balance=-1.0), BadInput, "positive ratio"),
    "endless ratio": ({}, dict(thresholds=[0.5], none_label="etc", balance=float("inf")), BadInput, "positive ratio"),
    "seed": ({}, dict(thresholds=[0.5], none_label="etc", balance=1.0, seed=-1), BadInput, "--seed -1"),
    "balance": ({}, dict(thresholds=[0.5], balance=2.0), BadInput, "a class that is not written"),
    "ratio": ({}, dict(thresholds=[0.5], none_label="etc", balance=0.0), BadInput, "positive ratio"),
    "space": (dict(space="nowhere"), HALF, EmptySpace, "no space 'nowhere'"),
    "one space": (dict(compare=["mine"]), HALF, BadInput, "no two different ones"),
    "agree": (dict(agree=True), HALF, BadInput, "spaces that can agree"),
    "where": (dict(where="nonsense = 1"), HALF, BadInput, "--where"),
}  # fmt: skip


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, sample_store) -> Store:
    """Return a store with two exemplars that no test changes."""
    folder = tmp_path_factory.mktemp("labelled")
    shutil.copytree(sample_store, folder / "store")
    store = Store.open(folder / "store")
    label(store, Rule(thresholds=[0.6]), exemplars=TWO)
    return store


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_writes_nothing(labelled, case):
    given, rule, error, message = REFUSED[case]
    before = labelled.versions()
    with pytest.raises(error, match=message):
        label(labelled, Rule(**rule), **given)
    assert labelled.versions() == before


def test_no_exemplar_at_all_is_refused(colours):
    with pytest.raises(BadInput, match="--exemplar CLASS=IMAGE"):
        label(colours, Rule(thresholds=[0.5]))


def test_an_exemplar_is_a_stored_image(colours, tmp_path):
    (tmp_path / "new.png").write_bytes(picture((1, 2, 3)))
    with pytest.raises(NoSuchImage, match="an exemplar is a stored image"):
        label(colours, Rule(thresholds=[0.5]), exemplars=[("red", str(tmp_path / "new.png"))])
    remove(colours, ["red2"])
    with pytest.raises(NoSuchImage, match="'red2' was removed"):
        label(colours, Rule(thresholds=[0.5]), exemplars=[("red", "red2")])


def test_the_runs_are_drawn(store, tmp_path):
    done = label(store, Rule(thresholds=[0.6, 0.7]), exemplars=TWO)
    drawn = draw_labels(store, done, tmp_path / "grid.png")
    assert [path.name for path in drawn] == ["grid-0.6.png", "grid-0.7.png"]
    with Image.open(drawn[0]) as image:
        # Six across, two rows a class.
        assert image.size == (20 + 6 * 196, 60 + 4 * 240)


def test_names_of_pictures_are_plain_and_no_row_is_empty(store, tmp_path):
    done = label(store, Rule(thresholds=[0.99]), exemplars=TWO)
    (drawn,) = draw_labels(store, done, tmp_path / "grid.png")
    with Image.open(drawn) as image:
        # Nothing is accepted: each class is one row.
        assert image.size == (20 + 6 * 196, 60 + 2 * 240)
    (run,) = done.runs
    runs = [replace(run, space=space, threshold=None, fpr=0.001) for space in ("a", "b", "a + b")]
    names = ["g-a-fpr-0.001.png", "g-b-fpr-0.001.png", "g-a-and-b-fpr-0.001.png"]
    assert [path.name for path in paths(tmp_path / "g.png", runs)] == names


def test_the_command(store, engine, classes):
    give_truth(store, classes)
    at_store = ("--store", store.path)
    pairs = [part for one, name in TWO for part in ("--exemplar", f"{one}={name}")]
    first = json.loads(engine("label", *pairs, "--threshold", "0.6,0.7", "--json", *at_store).stdout)
    assert [run["threshold"] for run in first["runs"]] == [0.6, 0.7]
    assert set(first["runs"][0]["classes"]["sunflower"]) == {
        "labelled", "exemplars", "coverage", "threshold", "score_low", "score_high", "closest", "support",
        "precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high",
    }  # fmt: skip
    again = engine("label", "--fpr", "1e-3", "--labeler", "centroid", "--grid", "g.png", *at_store)
    lines = [line.split("\t") for line in again.stdout.splitlines()]
    assert [line[3] for line in lines] == ["class", *CLASSES]
    assert "drawn: g.png" in again.stderr and "engine labels accept RUN" in again.stderr
    wrong = engine("label", "--exemplar", "sunflower", "--threshold", "0.5", *at_store, check=False)
    assert (wrong.returncode, wrong.stderr) == (
        2, "engine: 'sunflower' names no class and image; write CLASS=IMAGE: --exemplar sunflower=3048\n",
    )  # fmt: skip
    before = store.versions()
    assert engine("label", "--threshold", "0.5", "--grid", "g.jpg", *at_store, check=False).returncode == 2
    assert store.versions() == before


def test_the_collection(store):
    collection = engine.open(store.path)
    done = collection.label(exemplars={"sunflower": ["3", "338"], "Leopards": "1"}, threshold=0.6)
    assert {name: len(ids) for name, ids in done.known.by_class().items()} == {"sunflower": 2, "Leopards": 1}
    assert [run.threshold for run in collection.label(threshold=[0.6, 0.7]).runs] == [0.6, 0.7]
