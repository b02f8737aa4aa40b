"""What the other suites stand on: a made store keeps every promise, a child's memory and exit are seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.bars import in_turns
from benchmarks.bench import suite
from benchmarks.clustered import BLOCK_ROWS, Clustered
from benchmarks.generate import generate
from benchmarks.job import row
from benchmarks.processes import watched
from benchmarks.suites import SUITES
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.store import Store
from engine.verify import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Store:
    """Return a store of one block and a bit."""
    return generate(tmp_path_factory.mktemp("made") / "store", rows=BLOCK_ROWS + 100, dim=8)


def test_a_made_store_passes_verify(made):
    verdict = verify(made)
    assert (verdict.problems, verdict.notes) == ([], [])
    assert (verdict.members, verdict.images, verdict.spaces) == (BLOCK_ROWS + 100, BLOCK_ROWS + 100, {"made": 8292})


def test_a_made_store_holds_the_recipes_vectors(made):
    X = np.concatenate(list(Clustered(BLOCK_ROWS + 100, 8).blocks()))
    answer = search(made, Query(names=[f"made/{BLOCK_ROWS + 7}.none"]), k=5)
    best = np.argsort(-(X @ X[BLOCK_ROWS + 7]), kind="stable")[:5]
    assert [hit.ordinal for hit in answer.hits] == best.tolist()


def test_memory_output_and_exit_of_a_command_are_seen():
    code = "import sys, time; held = bytearray(200 << 20); time.sleep(0.5); print('done'); sys.exit(3)"
    ran = watched([sys.executable, "-c", code])
    assert (ran.code, ran.stdout) == (3, "done\n")
    assert 200 << 20 <= ran.peak_bytes < 260 << 20


def test_memory_of_children_counts():
    child = "import time; held = bytearray(100 << 20); time.sleep(0.5)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert watched([sys.executable, "-c", code]).peak_bytes >= 100 << 20


def test_turns_call_each_once_a_round():
    called: list[str] = []
    taken = in_turns({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, rounds=3)
    assert called == ["a", "b"] * 4
    assert set(taken) == {"a", "b"}


@pytest.mark.parametrize("name", sorted(SUITES))
def test_every_suite_is_there(name):
    assert callable(suite(name).jobs) and callable(suite(name).report)


def test_a_row_without_metrics_was_not_available():
    assert row("search", "d", "m", note="not installed")["available"] is False
    assert row("search", "d", "m", metrics={"recall": 1.0})["available"] is True
