"""What the other suites stand on: a made store keeps every promise, a child's memory and exit are seen."""

from __future__ import annotations

import os
import subprocess
import sys
from time import sleep

import numpy as np
import pytest

from benchmarks import processes
from benchmarks.bench import suite
from benchmarks.job import Settings, row
from benchmarks.made.clustered import BLOCK_ROWS, Clustered
from benchmarks.made.generate import generate
from benchmarks.peers.metrics import Race, Result
from benchmarks.peers.vectors import Held
from benchmarks.processes import is_running, watched
from benchmarks.scratch import scratch
from benchmarks.suites import SUITES, bars
from benchmarks.suites.bars import in_turns
from engine.errors import BadInput
from engine.progress import Silent
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


def test_processor_seconds_of_children_count():
    child = "import time\nwhile time.process_time() < 0.5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert watched([sys.executable, "-c", code]).processor_seconds >= 0.5


def test_a_command_and_its_children_do_not_outlive_an_interrupt(monkeypatch):
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    seen: list[int] = []

    def interrupted(pid: int) -> list[int]:
        seen[:] = family(pid)
        if len(seen) > 1:
            monkeypatch.setattr(processes, "family", family)
            raise KeyboardInterrupt
        return seen

    family = processes.family
    monkeypatch.setattr(processes, "family", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watched([sys.executable, "-c", code])
    assert not is_running(seen[0])
    # Its own child is nobody's any more: init waits for it, in its own time.
    for _ in range(3000):
        if not processes.anonymous(seen[1]):
            break
        sleep(0.01)
    else:
        pytest.fail("it still runs")


def test_what_a_killed_run_left_is_taken_away_and_nothing_else(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    for name in (f"scratch-{gone.pid}-x", f"scratch-{os.getpid()}-x", "scratch-mine-x", "rows"):
        (tmp_path / name).mkdir()
    with pytest.raises(RuntimeError), scratch(tmp_path) as folder:
        assert folder.is_dir()
        raise RuntimeError
    assert {one.name for one in tmp_path.iterdir()} == {f"scratch-{os.getpid()}-x", "scratch-mine-x", "rows"}


@pytest.mark.parametrize(("name", "least"), [("soak", 10_000), ("bars", 1000), ("clusters", 2000), ("maps", 100)])
def test_too_few_rows_are_refused_and_leave_nothing(name, least, tmp_path):
    for rows in (-5, 0, least - 1):
        with pytest.raises(BadInput, match=f"at least {least}"):
            list(suite(name).jobs(Settings(tmp_path, rows=rows), Silent()))
    assert list(tmp_path.iterdir()) == []


def keys(name: str, *asked: Settings) -> int:
    return len({job.key(name, "1", quick=False) for one in asked for job in suite(name).jobs(one, Silent())})


def test_what_a_suite_looks_at_tells_its_jobs_apart(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    np.save(tmp_path / "b.npy", np.eye(4))
    plain, elsewhere = Settings(tmp_path), Settings(tmp_path, data=tmp_path)
    assert keys("ingest", plain, elsewhere) == 2 and keys("start", plain, elsewhere) == 1
    a, b = (Settings(tmp_path, vectors=tmp_path / name) for name in ("a.npy", "b.npy"))
    assert keys("maps", plain, Settings(tmp_path, rows=100), a, b) == 4
    assert keys("bars", plain, Settings(tmp_path, skip=("engine pq",)), Settings(tmp_path, skip=("numpy",))) == 2
    with pytest.raises(BadInput, match="no competitor 'engine pg'"):
        keys("bars", Settings(tmp_path, skip=("engine pg",)))


def raced(**missing: str) -> list[Result]:
    names = {name: missing.get(name.removeprefix("engine ")) for name in bars.OURS}
    return [Result(name, recall_at_10=1.0, p50=2.0, missing=why) for name, why in names.items()]


def test_bars_take_a_race_over_the_same_rows_alone(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((5, 3), np.float32))
    held, plain = Held("x", tmp_path / "rows.npy", np.zeros((1, 3), np.float32)), Settings(tmp_path)
    run = {"rows": 5, "dim": 3, "seed": 0}
    assert bars.same_race(Race(run, raced()), held, plain)
    for other in ({"rows": 6}, {"dim": 4}, {"seed": 1}):
        assert not bars.same_race(Race({**run, **other}, raced()), held, plain)
    assert not bars.same_race(Race(run, raced()[1:]), held, plain), "an index is not among them"
    skip = Settings(tmp_path, skip=("engine pq", "numpy"))
    assert not bars.same_race(Race(run, raced()), held, skip)
    left = Race(run, raced(pq="left out"))
    assert bars.same_race(left, held, skip) and not bars.same_race(left, held, plain)


def test_a_bar_that_was_not_measured_says_what_was_left_out():
    assert bars._approximate(Race({}, raced(flat="left out")), 5)["note"] == "engine flat: left out"
    low = [Result("engine flat", recall_at_10=1.0), Result("engine pq", recall_at_10=0.5)]
    assert bars._approximate(Race({}, low), 5)["note"] == "none reached recall@10 0.99"
    notes = {one["method"]: one["note"] for one in bars._builds(Race({}, raced(pq="left out")), 5)}
    assert notes["build of engine pq"] == "left out" and notes["build of engine ivf"] is None


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
