"""The documents' tables are those that the kept result lines give: no figure in them is typed by hand."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.job import row
from benchmarks.lines import kept as lines_kept
from benchmarks.lines.kept import kept, take_over
from benchmarks.protocol import protocol
from benchmarks.readme import BLOCK, PAGES, TABLES, main, rewritten, table
from engine.errors import BadInput

SUITE = "retrieval"
BLOCKS = [(page, found[1]) for page in PAGES for found in BLOCK.findall(page.read_text())]
every_block = pytest.mark.parametrize(("page", "suite"), BLOCKS, ids=[f"{page.stem}-{name}" for page, name in BLOCKS])


def line(seed: int | None, value: float, **facts) -> dict:
    """Return a result line of a full run."""
    known = {"seconds": 1.0, "images": 10, "pixels": "as published", "split": "test", "space": "pixels"}
    made = row(SUITE, "cifar10", "cosine", seed=seed, metrics={"map": value}, chance={"map": 0.1}, **{**known, **facts})
    return {**made, "protocol": protocol(SUITE), "quick": False, "key": str(seed), "part": [0, 1]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_figure_in_the_tables_has_its_result_lines(page):
    """Fails when a figure was typed, or when lines were taken away: run `python -m benchmarks.readme`."""
    text = page.read_text()
    assert rewritten(text) == text


@every_block
def test_a_figure_that_was_typed_is_found(page, suite):
    text = page.read_text()
    start = text.index(f"<!-- bench: {suite} -->")
    place = text.index("\n", start) + 1
    assert rewritten(f"{text[:place]}| cifar10 | typed | 0.999 |\n{text[place:]}") == text
    if figure := re.search(r"\d\.\d{3}", text[start : text.index("<!-- /bench -->", start)]):
        place = start + figure.start() + 4
        typed = text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]
        assert rewritten(typed) == text


def test_beside_its_tables_the_readme_names_no_quantity():
    text = PAGES[0].read_text()
    section = text[text.index("## What is measured") : text.index("## Limits")]
    assert re.findall(r"[\d.,]+\s*(?:×|%|images/s|[mµ]?s\b|[KMG]i?B\b)", BLOCK.sub("", section)) == []


@pytest.mark.parametrize("suite", TABLES)
def test_kept_lines_are_of_full_runs_by_the_protocol_of_today(suite):
    assert all(not one["quick"] and one["protocol"] == protocol(suite) for one in kept(suite))


def test_a_table_without_lines_says_how_to_get_them():
    assert "No result lines are kept yet: `engine bench retrieval`" in table(SUITE, [])


def test_a_table_is_the_means_of_its_lines():
    text = table(SUITE, [line(0, 0.2), line(1, 0.4)])
    assert "| cifar10 | pixels | 0.300 ± 0.141 | – | – | – | 0.100 / – / – / – |" in text
    assert "cifar10: test split of 10 images, pixels as published, 2 of 3 seeds." in text


def test_what_lines_say_of_themselves_stands_below():
    """One run of what draws nothing is no lack of seeds, and what was learnt once says so for each space."""
    once = table(SUITE, [line(None, 0.25)])
    assert "| cifar10 | pixels | 0.250 | – |" in once and "pixels: deterministic, 1 run." in once
    assert "of 3 seeds" not in once
    learnt = table(SUITE, [line(seed, 0.5, space=space, note="of one training") for space in "ab" for seed in range(3)])
    assert learnt.endswith("pixels as published. a, b: of one training.\n")


def test_near_duplicates_are_counted_and_left_out_beside():
    leakage = {"near_duplicates": 3, "metrics": {"map": 0.1}}
    text = table(SUITE, [line(0, 0.2, leakage=leakage)])
    assert "| cifar10 | pixels, without near duplicates | 0.100 |" in text
    assert "3 of them near duplicates of training images" in text


def test_only_the_blocks_are_written():
    text = "before 0.5\n<!-- bench: retrieval -->\nold 0.9\n<!-- /bench -->\nafter 0.7\n"
    after = rewritten(text, lambda suite: [line(0, 0.25)])
    assert after.startswith("before 0.5\n<!-- bench: retrieval -->\n| data set |")
    assert after.endswith("<!-- /bench -->\nafter 0.7\n") and "0.9" not in after and "0.250" in after


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_kept, "KEPT", tmp_path / "kept")
    (tmp_path / SUITE).mkdir()
    return tmp_path


def measured(folder, rows: list[dict]) -> int:
    (folder / SUITE / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return take_over(SUITE, folder)


def test_lines_of_a_new_run_take_the_place_of_those_that_say_the_same(folder):
    assert measured(folder, [line(0, 0.2), line(1, 0.123456789)]) == 2
    assert measured(folder, [{**line(1, 0.5), "key": "other"}, line(0, 0.9, space="clip")]) == 2
    found = {(one["space"], one["seed"]): one["metrics"]["map"] for one in kept(SUITE)}
    assert found == {("pixels", 0): 0.2, ("pixels", 1): 0.5, ("clip", 0): 0.9}


def test_quick_runs_and_old_protocols_are_not_taken(folder):
    old, quick = {**line(0, 0.2), "protocol": "0-old"}, {**line(0, 0.2), "quick": True}
    assert measured(folder, [old, quick]) == 0
    assert kept(SUITE) == []


def test_what_was_not_available_goes_when_it_is(folder):
    absent = {**row(SUITE, "cifar10", "none", space="clip", note="no weights"), "protocol": protocol(SUITE)}
    measured(folder, [{**absent, "quick": False, "key": "x", "part": [0, 1]}])
    assert [one["available"] for one in kept(SUITE)] == [False]
    measured(folder, [line(0, 0.2, space="clip")])
    assert [one["available"] for one in kept(SUITE)] == [True]


@pytest.mark.parametrize("name", ["store-cifar10", "vectors-cifar10"])
def test_figures_of_a_store_or_a_file_of_ones_own_are_not_taken_over(tmp_path, monkeypatch, name):
    monkeypatch.setattr(lines_kept, "KEPT", tmp_path / "kept")
    (tmp_path / SUITE).mkdir()
    own = {**line(0, 0.9), "dataset": name}
    (tmp_path / SUITE / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (own, line(0, 0.2))))
    assert take_over(SUITE, tmp_path) == 1
    assert [(one["dataset"], one["metrics"]["map"]) for one in kept(SUITE)] == [("cifar10", 0.2)]


def test_a_folder_into_which_nothing_was_measured_is_said(tmp_path):
    with pytest.raises(BadInput, match="nothing was measured into"):
        main([tmp_path])


def test_a_last_line_without_its_end_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(lines_kept, "KEPT", tmp_path)
    (tmp_path / f"{SUITE}.jsonl").write_text(json.dumps(line(0, 0.2)))
    assert len(kept(SUITE)) == 1
