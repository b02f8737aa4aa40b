"""The frame around the suites: what was measured is not measured again, and reports come from the lines alone."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks.bench import bench, suite
from benchmarks.job import Job, Settings, row
from benchmarks.lines.published import of_dataset, published
from benchmarks.lines.results import read
from benchmarks.lines.summary import summaries
from benchmarks.protocol import BLOCK, KEPT, PAGE, digests, kept, protocol, raised
from benchmarks.reports.page import Report, write
from benchmarks.suites import ALL, SUITES
from engine.errors import BadInput, StoreBusy
from engine.progress import Silent


@pytest.fixture
def toy(monkeypatch) -> ModuleType:
    """A suite of two data sets and two seeds, whose score is 10·seed; it counts what it measured."""
    module = ModuleType("toy_suite")
    module.ran = []

    def run(name: str, seed: int) -> list[dict]:
        if (name, seed) == module.stops_at:
            raise KeyboardInterrupt
        module.ran.append((name, seed))
        if name == module.lacks:
            return [row("toy", name, "none", note="not there; fetch it")]
        return [row("toy", name, method, seed=seed, metrics={"nmi": 10.0 * seed}) for method in module.methods]

    def jobs(settings: Settings, progress: object):
        for name in settings.datasets or ("a", "b"):
            for seed in settings.every_seed():
                yield Job({"dataset": name, "seed": seed}, partial(run, name, seed))

    module.stops_at = module.lacks = None
    module.methods = ("one", "two")
    module.jobs = jobs
    module.report = partial(write, Report("toy", ("nmi",)))
    monkeypatch.setitem(sys.modules, "toy_suite", module)
    monkeypatch.setitem(SUITES, "toy", "toy_suite")
    return module


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "toy", seeds=2)


def measure(settings: Settings) -> list[dict]:
    return list(bench("toy", settings, Silent()))


def lines(settings: Settings) -> list[dict]:
    return [json.loads(line) for line in (settings.output / "results.jsonl").read_text().splitlines()]


def test_a_line_a_row_with_what_it_was_measured_by(toy, settings):
    rows = measure(settings)
    assert rows == lines(settings)
    assert [(one["dataset"], one["method"], one["seed"]) for one in rows[:4]] == [
        ("a", "one", 0), ("a", "two", 0), ("a", "one", 1), ("a", "two", 1),
    ]  # fmt: skip
    assert all(one["quick"] is False and one["protocol"] == "none" and one["seconds"] >= 0 for one in rows)
    assert [one["part"] for one in rows[:2]] == [[0, 2], [1, 2]]
    assert len({one["key"] for one in rows}) == 4


def test_an_interrupted_bench_goes_on(toy, settings):
    toy.stops_at = ("b", 0)
    with pytest.raises(KeyboardInterrupt):
        measure(settings)
    assert len(lines(settings)) == 4
    toy.stops_at = None
    rows = measure(settings)
    assert toy.ran == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert rows == lines(settings)


def test_a_line_that_was_cut_off_is_measured_again(toy, settings):
    measure(settings)
    path = settings.output / "results.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-20])
    toy.ran.clear()
    measure(settings)
    assert toy.ran == [("b", 1)]
    assert len(lines(settings)) == 8
    assert [one["seed"] for one in measure(settings)] == [one["seed"] for one in map(json.loads, whole.splitlines())]


def test_what_is_no_line_is_said(toy, settings):
    measure(settings)
    path = settings.output / "results.jsonl"
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(BadInput, match="line 1 is no result line"):
        measure(settings)


@pytest.mark.parametrize("line", ["nonsense", "null", "{}", "[1]"])
def test_a_file_with_a_line_that_is_none_is_begun_again_where_all_is_measured_anew(toy, settings, line):
    measure(settings)
    path = settings.output / "results.jsonl"
    broken = f"{line}\n" + path.read_text()
    path.write_text(broken)
    measure(replace(settings, recompute=True))
    assert len(lines(settings)) == 8
    assert path.with_name("results.jsonl.broken").read_text() == broken


def test_what_is_measured_anew_is_lost_at_no_moment(toy, settings):
    measure(settings)
    before = lines(settings)
    toy.stops_at = ("a", 0)
    with pytest.raises(KeyboardInterrupt):
        measure(replace(settings, recompute=True))
    assert lines(settings) == before


def test_a_job_that_gives_fewer_rows_than_before_leaves_none_of_the_old(toy, settings):
    measure(settings)
    toy.methods = ("one",)
    measure(replace(settings, recompute=True))
    assert [one["method"] for one in lines(settings)] == ["one"] * 4


def test_two_benches_do_not_write_into_one_folder(toy, settings):
    running = bench("toy", settings, Silent())
    next(running)
    with pytest.raises(StoreBusy, match="another engine bench writes into"):
        measure(settings)
    running.close()
    assert len(measure(settings)) == 8


def test_rows_of_other_data_are_not_other_seeds():
    facts = {"seed": 0, "metrics": {"nmi": 0.5}, "images": 10, "seconds": 1.0}
    rows = [{**row("toy", "a", "one", data=data, **facts), "protocol": "none", "quick": False} for data in ("x", "y")]
    assert [one.seeds for one in summaries(rows, ["nmi"])] == [1, 1]


def test_recompute_measures_anew_only_what_was_asked_for(toy, settings):
    measure(settings)
    toy.ran.clear()
    measure(replace(settings, datasets=("b",), recompute=True))
    assert toy.ran == [("b", 0), ("b", 1)]
    assert sorted(one["dataset"] for one in lines(settings)) == ["a"] * 4 + ["b"] * 4


def test_a_quick_run_is_another_measurement(toy, settings):
    measure(settings)
    toy.ran.clear()
    quick = measure(replace(settings, quick=True))
    assert len(toy.ran) == 4 and all(one["quick"] for one in quick)
    assert "its figures mean nothing else" in (settings.output / "quick.md").read_text()
    assert len(measure(settings)) == 8 and len(toy.ran) == 4


def test_what_was_not_available_is_tried_again(toy, settings):
    toy.lacks = "a"
    rows = measure(settings)
    assert [one["available"] for one in rows] == [False, False, True, True, True, True]
    assert "not there; fetch it" in (settings.output / "report.md").read_text()
    toy.lacks = None
    toy.ran.clear()
    assert all(one["available"] for one in measure(settings))
    assert toy.ran == [("a", 0), ("a", 1)]


def test_reuse_measures_nothing(toy, settings):
    with pytest.raises(BadInput, match="no such rows"):
        measure(replace(settings, reuse=True))
    rows = measure(settings)
    (settings.output / "report.md").unlink()
    toy.ran.clear()
    assert measure(replace(settings, reuse=True)) == rows
    assert toy.ran == []
    report = (settings.output / "report.md").read_text()
    # Seeds 0 and 1 score 0 and 10: mean 5, sample standard deviation √50.
    assert "| – | one | 5.000 ± 7.071 | – | 2 |" in report
    page = (settings.output / "report.html").read_text()
    assert "5.000 ± 7.071" in page and "http" not in page


def test_another_protocol_is_another_measurement(toy, settings, monkeypatch):
    measure(settings)
    toy.ran.clear()
    monkeypatch.setattr("benchmarks.bench.protocol", lambda name: "2-abc")
    measure(settings)
    assert len(toy.ran) == 4


def test_a_page_holds_its_pictures(toy, settings):
    from PIL import Image

    settings.output.mkdir()
    Image.new("RGB", (3, 3)).save(settings.output / "one.png")
    rows = measure(settings)
    write(Report("toy", ("nmi",), pictures=["one.png", "gone.png"]), rows, settings, Silent())
    assert (settings.output / "report.html").read_text().count("data:image/png;base64,") == 1


def test_figures_with_and_without_near_duplicates_stand_beside_each_other(toy, settings):
    leakage = {"space": "s", "threshold": 0.9, "images": 10, "near_duplicates": 2, "identical": 1}
    rows = [
        {**row("toy", "a", "one", seed=seed, metrics={"nmi": 0.5}, seconds=1.0, images=10, split="test",
               leakage={**leakage, "metrics": {"nmi": 0.25}}), "protocol": "1", "quick": False}
        for seed in (0, 1)
    ]  # fmt: skip
    (found,) = summaries(rows, ("nmi",))
    assert (found.metrics["nmi"].mean, found.distinct["nmi"].mean, found.seeds) == (0.5, 0.25, 2)
    settings.output.mkdir()
    write(Report("toy", ("nmi",)), rows, settings, Silent())
    text = (settings.output / "report.md").read_text()
    assert "| – | one | 0.500 ± 0.000 |" in text
    assert "| – | one, without near duplicates | 0.250 ± 0.000 |" in text
    assert "2 of 10 images are near duplicates of a training image" in text and "1 of them byte for byte" in text


def test_published_values_have_a_source_and_a_split():
    for one in published():
        assert one["source"] and one["split"] and one["method"] and one["values"]
    assert of_dataset("cifar10", "representations")[0]["values"] == {"nmi": 0.074, "ri": 0.811}


def test_suites_are_modules_of_jobs_and_reports():
    assert set(ALL) <= set(SUITES)
    with pytest.raises(BadInput, match="no suite 'nonsense'"):
        suite("nonsense")


def test_every_suite_has_a_protocol():
    assert set(kept()) == set(SUITES)


def test_rows_carry_the_protocol_that_the_page_describes():
    """Fails when a block was changed: run `python -m benchmarks.protocol`, which raises the version."""
    assert {name: one["digest"] for name, one in kept().items()} == digests(PAGE.read_text())
    assert protocol("retrieval") == f"{kept()['retrieval']['version']}-{kept()['retrieval']['digest']}"


def test_changing_a_block_changes_the_version_of_its_suite_alone():
    page, known = PAGE.read_text(), kept()
    changed = BLOCK.sub(lambda one: one[0].replace("seed 0", "seed 1") if one[1] == "search" else one[0], page)
    after = raised(known, changed)
    assert after["search"]["version"] == known["search"]["version"] + 1
    assert {name: one for name, one in after.items() if name != "search"} == {
        name: one for name, one in known.items() if name != "search"
    }
    # What is common is part of those that say so.
    shared = raised(known, page.replace("Images stand in the order", "Images lie in the order"))
    assert {name for name, one in shared.items() if one != known[name]} == {
        "representations", "clustering", "retrieval", "labels",
    }  # fmt: skip
    # Where lines break is no change.
    assert raised(known, page.replace("\n  ", " ")) == known
    assert json.loads(KEPT.read_text()) == known


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert list(read(tmp_path / "none.jsonl")) == []
