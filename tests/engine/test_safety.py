"""Whatever is killed, filled or done at the same time: nothing is lost, nothing is twice, and it can go on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.compact import sizes
from engine.errors import EmptySpace, NoStore
from engine.retrieval.query import Query
from engine.retrieval.search import search
from engine.select import all_labels
from engine.store import Store
from engine.verify import Verdict, drift, verify
from tests.engine.colour import SPEC

ROOT = Path(__file__).parents[2]
KILLS = 20

# The command line with blocks of 16 rows, so that a short run has many commits. With KILL_AT the process kills itself
# when it forces its n-th file to the disk; with COUNT it writes down how many those were.
DRIVER = """
import atexit, os, signal, sys
from pathlib import Path

def count_fsyncs():
    real, done = os.fsync, [0]
    def fsync(descriptor):
        done[0] += 1
        if str(done[0]) == os.environ.get("KILL_AT"):
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)
    os.fsync = fsync
    if "COUNT" in os.environ:
        atexit.register(lambda: Path(os.environ["COUNT"]).write_text(str(done[0])))

if __name__ == "__main__":
    # A shell may have started us deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import engine.ingestion.commit, engine.compact, engine.labeling.labels, engine.remove, engine.store.durable
    engine.ingestion.commit.BLOCK_ROWS = int(os.environ.get("BLOCK_ROWS", "16"))
    engine.compact.FRAGMENTS = int(os.environ.get("FRAGMENTS", engine.compact.FRAGMENTS))
    engine.compact.UNINDEXED = 100
    engine.labeling.labels.BLOCK_ROWS = 64
    engine.remove.BATCH = 5
    engine.store.durable.RESERVE = int(os.environ.get("RESERVE", engine.store.durable.RESERVE))
    count_fsyncs()
    from engine.cli import main
    main(sys.argv[1:])
"""


class Runner:
    """Starts the driver in a folder of its own, in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.pids: list[int] = []
        (folder / "driver.py").write_text(DRIVER)

    def start(self, *arguments: object, **environment: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(self.folder / "driver.py"), *map(str, arguments)],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TMPDIR": str(self.temporary),
                "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
                **{name: str(value) for name, value in environment.items()},
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.pids.append(process.pid)
        return process

    def run(self, *arguments: object, code: int = 0, **environment: object) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate()
        assert process.returncode == code, f"{arguments}\n{out}{err}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def ingest(self, *sources: Path, store: Path, code: int = 0, **environment: object):
        return self.run(*self.command(*sources, store=store), code=code, **environment)

    def command(self, *sources: Path, store: Path) -> list[object]:
        return ["ingest", *sources, "--encoder", SPEC, "--workers", 2, "--store", store]

    def fsyncs(self, *arguments: object) -> int:
        """Return how many files the command forces to the disk."""
        self.run(*arguments, COUNT=self.folder / "count")
        return int((self.folder / "count").read_text())


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the whole process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def commits(store: Path) -> int:
    """Return how many versions the tables of the store have had."""
    return sum(1 for _ in store.glob("*.lance/_versions/*.manifest"))


def wait_for_commits(process: subprocess.Popen[str], store: Path, number: int) -> bool:
    """Wait until the store has `number` more versions; say no if the process ends before."""
    goal = commits(store) + number
    while commits(store) < goal:
        if process.poll() is not None:
            return False
        time.sleep(0.003)
    return True


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, sample_tar: Path) -> Path:
    """Return the store of an undisturbed run over the sample."""
    folder = tmp_path_factory.mktemp("whole")
    Runner(folder).ingest(sample_tar, store=folder / "store")
    return folder / "store"


def contents(path: Path) -> dict[str, object]:
    """Return what two stores of the same sources must share: ledger, images, thumbnails."""
    store = Store.open(path)
    columns = ["source", "ordinal", "name", "offset", "size", "image", "rejected", "removed"]
    return {
        "members": store.members.read(columns).sort_by([("source", "ascending"), ("ordinal", "ascending")]),
        "images": store.images.read().sort_by("id"),
        "thumbnails": store.thumbnails.read().sort_by("id"),
        "sources": store.sources.read(["digest", "complete", "members", "cut"]).sort_by("digest"),
    }


def vectors(path: Path) -> dict[bytes, np.ndarray]:
    store = Store.open(path)
    cache = store.vectors(store.space())
    return {one.tobytes(): np.array(row) for one, row in zip(cache.ids, cache.matrix, strict=True)}


def assert_same(found: Path, expected: Path) -> None:
    verdict = verify(Store.open(found))
    assert verdict.ok, verdict.problems
    ours, theirs = contents(found), contents(expected)
    for name in theirs:
        assert ours[name] == theirs[name], name
    rows, truth = vectors(found), vectors(expected)
    assert rows.keys() == truth.keys()
    for image, row in truth.items():
        np.testing.assert_array_equal(rows[image], row)


def assert_nothing_left(runner: Runner) -> None:
    """Look for what processes that were killed could have left behind."""
    assert list(runner.temporary.rglob("*")) == []
    shared = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    assert [name for name in shared if any(str(pid) in name for pid in runner.pids)] == []


# --- killed ---


def test_an_ingest_killed_at_any_moment_goes_on_to_the_same_end(runner, whole, sample_tar):
    chance = random.Random(20)
    kills = rounds = 0
    while kills < KILLS:
        store = runner.folder / f"store{rounds}"
        rounds += 1
        finished = False
        while not finished:
            process = runner.start(*runner.command(sample_tar, store=store))
            # From "while it starts" to "some blocks further"; a run has about 90 versions.
            finished = not wait_for_commits(process, store, chance.randrange(9))
            time.sleep(chance.random() * 0.04)
            if finished or kills == KILLS:
                out, err = process.communicate()
                assert process.returncode == 0, out + err
                finished = True
            else:
                kill(process)
                kills += 1
        assert_same(store, whole)
    assert_nothing_left(runner)


def test_a_killed_run_with_a_real_network_goes_on_to_the_same_vectors(runner, overlapping):
    path = runner.folder / "store"
    command = ["ingest", overlapping[0], "--encoder", "efficientnet_lite0", "--precision", "fp32", "--store", path]
    process = runner.start(*command)
    while not list(path.glob("space_*.lance/_versions")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.003)
    assert wait_for_commits(process, path, 5)
    kill(process)
    store = Store.open(path)
    assert not verify(store).ok
    runner.run(*command)
    verdict = verify(store, read_bytes=True)
    assert (verdict.ok, verdict.members, verdict.images) == (True, 100, 100)
    # Every picture encoded again, in one go and by one process, has the vector that is stored.
    measured = drift(store, 100, precision="fp32")
    assert measured.images == 100
    assert measured.lowest >= 0.9999
    assert_nothing_left(runner)


def stored_copy(whole: Path, path: Path) -> Path:
    shutil.copytree(whole, path)
    return path


def some_moments(number: int, among: int) -> list[int]:
    """Return `number` of 1 … `among`, the first and the last included, spread over all."""
    return sorted({round(place) for place in np.linspace(1, among, number)})


def test_a_removal_killed_at_any_moment_is_finished_by_the_same_command(runner, whole):
    store = stored_copy(whole, runner.folder / "template")
    command = ["remove", "--where", "ordinal % 20 = 3", "--json", "--store"]
    moments = some_moments(5, runner.fsyncs(*command, stored_copy(whole, runner.folder / "counted")))
    assert len(moments) == 5
    condemned = {row["image"] for row in Store.open(whole).members.rows(["image"], "ordinal % 20 = 3")}
    for moment in moments:
        store = stored_copy(whole, runner.folder / f"killed{moment}")
        runner.run(*command, store, KILL_AT=moment, code=-signal.SIGKILL)
        done = runner.run(*command, store)
        assert done.stdout.startswith("{")
        found = Store.open(store)
        assert found.members.count("removed IS NOT NULL") == len(condemned)
        assert found.images.count() == 340 - len(condemned)
        verdict = verify(found)
        assert verdict.ok, (moment, verdict.problems)
    # Nothing is left to do, and the command says so.
    again = json.loads(runner.run(*command, store).stdout)
    assert (again["images"], again["members"]) == (0, 0)


def test_a_removal_killed_after_the_ledger_was_written_is_reported_and_finished_by_name(runner, whole):
    names = [f"@{ordinal}" for ordinal in range(0, 60, 4)]
    command = ["remove", *names, "--json", "--store"]
    moments = some_moments(4, runner.fsyncs(*command, stored_copy(whole, runner.folder / "counted")))
    reported = 0
    for moment in moments[1:-1]:
        store = stored_copy(whole, runner.folder / f"killed{moment}")
        runner.run(*command, store, KILL_AT=moment, code=-signal.SIGKILL)
        problems = verify(Store.open(store)).problems
        reported += any("engine remove @0 @4" in problem for problem in problems)
        done = json.loads(runner.run(*command, store).stdout)
        assert (done["images"], done["members"]) == (len(names), len(names))
        assert verify(Store.open(store)).ok
    assert reported == len(moments[1:-1])


def test_a_compaction_killed_at_any_moment_leaves_a_store_that_verifies(runner, whole):
    chance = random.Random(4)
    counted = runner.fsyncs("compact", "--store", stored_copy(whole, runner.folder / "counted"))
    for moment in some_moments(3, counted):
        store = stored_copy(whole, runner.folder / f"killed{moment}")
        runner.run("compact", "--store", store, KILL_AT=moment, code=-signal.SIGKILL)
        assert_same(store, whole)
        # Once more, killed while Lance itself is at work.
        process = runner.start("compact", "--store", store)
        if wait_for_commits(process, store, chance.randrange(1, 3)):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert_same(store, whole)
    runner.run("compact", "--store", store)
    assert_same(store, whole)


def test_an_import_of_labels_killed_at_any_moment_says_all_of_the_file_or_nothing(runner, whole, sample_labels):
    command = ["labels", "import", sample_labels, "--store"]
    counted = stored_copy(whole, runner.folder / "counted")
    moments = some_moments(7, runner.fsyncs(*command, counted))
    everything = all_labels(Store.open(counted)).sort_by("id")
    assert len(everything) == 340
    halves = 0
    for moment in moments:
        store = Store.open(stored_copy(whole, runner.folder / f"killed{moment}"))
        runner.run(*command, store.path, KILL_AT=moment, code=-signal.SIGKILL)
        halves += 0 < store.labels.count() < 340
        said = all_labels(store).sort_by("id")
        # Late moments lie behind its end: it is done, and nobody was told.
        assert len(said) == 0 or said == everything, moment
        assert verify(store).ok
        runner.run(*command, store.path)
        assert all_labels(store).sort_by("id") == everything
    assert halves >= 3


# --- at the same time ---


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory, sample_tar: Path) -> tuple[Path, Path]:
    """Return two tars that share 50 of the sample's photos."""
    folder = tmp_path_factory.mktemp("overlapping")
    paths = folder / "first.tar", folder / "second.tar"
    with tarfile.open(sample_tar) as whole:
        headers = [header for header in whole if header.isreg()]
        for path, chosen in zip(paths, (headers[:100], headers[50:150]), strict=True):
            with tarfile.open(path, "w") as part:
                for header in chosen:
                    part.addfile(header, whole.extractfile(header))
    return paths


@pytest.mark.parametrize("again", [False, True])
def test_two_ingests_at_once_lose_and_double_nothing(runner, overlapping, again):
    alone = runner.folder / "alone"
    runner.ingest(*overlapping, store=alone)
    # The same sources in two orders, so that the processes meet at every table; or one source each.
    orders = [overlapping, overlapping[::-1]] if again else [overlapping[:1], overlapping[1:]]
    for number in range(2):
        store = runner.folder / f"store{number}"
        # Few fragments: who ends first would compact, and who ends last does.
        running = [runner.start(*runner.command(*order, store=store), FRAGMENTS=3) for order in orders]
        for process in running:
            out, err = process.communicate()
            assert process.returncode == 0, out + err
            assert "Traceback" not in err
        assert_same(store, alone)
        assert all(size.fragments <= 3 for size in sizes(Store.open(store)) if size.table != "runs")


def test_a_search_during_an_ingest_answers_from_what_is_committed(runner, sample_tar, tmp_path):
    np.save(tmp_path / "query.npy", np.array([1.0, 1.0, 1.0], np.float32))
    path = tmp_path / "store"
    process = runner.start(*runner.command(sample_tar, store=path))
    searches = 0
    while process.poll() is None:
        try:
            store = Store.open(path)
            known = store.members.count("image IS NOT NULL")
            answer = search(store, Query(vectors=[tmp_path / "query.npy"]), k=7)
        except (NoStore, EmptySpace):
            time.sleep(0.01)
            continue
        ledger = set(store.members.read(["image"])["image"].to_pylist())
        assert {hit.id for hit in answer.hits} <= ledger
        assert len({hit.id for hit in answer.hits}) == len(answer.hits) >= min(7, known)
        searches += known > 0
        # Searches without a pause could keep the ingest from the only core.
        time.sleep(0.02)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert searches >= 3
    answer = search(Store.open(path), Query(vectors=[tmp_path / "query.npy"]), k=7)
    truth = sorted((float(np.ones(3) @ row / np.sqrt(3)) for row in vectors(path).values()), reverse=True)
    np.testing.assert_allclose([hit.score for hit in answer.hits], truth[:7], atol=1e-6)


# --- stopped ---


@pytest.mark.parametrize("blocks", [1, 6])
def test_ctrl_c_stops_cleanly_and_keeps_what_was_done(runner, whole, sample_tar, blocks):
    store = runner.folder / "store"
    process = runner.start(*runner.command(sample_tar, store=store))
    while not (store / "space_colour_c0104ec0104e.lance").is_dir():
        assert process.poll() is None, process.communicate()
        time.sleep(0.003)
    assert wait_for_commits(process, store, 4 * blocks)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    line = err.strip().splitlines()[-1]
    assert "Traceback" not in err
    assert "the same command again" in line
    done = Store.open(store).members.count()
    assert 16 <= done < 340
    assert f"stopped after {done} members, all of them stored" in line
    verdict = verify(Store.open(store))
    assert [problem for problem in verdict.problems if "not ingested to its end" not in problem] == []
    runner.ingest(sample_tar, store=store)
    assert_same(store, whole)
    assert_nothing_left(runner)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 64 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.parametrize(("left", "reserve"), [(20 * 2**20, 16 * 2**20), (3 * 2**20, 0), (2**20 + 7000, 0)])
def test_a_full_disk_stops_with_one_line_and_goes_on_when_there_is_space(
    runner, whole, sample_tar, small_disk, left, reserve
):
    store = small_disk / "store"
    Store.create(store)
    # With a reserve it is us who stop; without one Lance meets the end of the disk in the middle of a write.
    state = os.statvfs(small_disk)
    with (small_disk / "ballast").open("wb") as file:
        file.write(bytes(state.f_bavail * state.f_frsize - left))
    done = runner.ingest(sample_tar, store=store, code=2, RESERVE=reserve)
    lines = [line for line in done.stderr.splitlines() if line.startswith("engine: ")]
    assert len(lines) == 1
    assert done.stderr.splitlines()[-1] == lines[0]
    assert "is full" in lines[0]
    assert "make space" in lines[0]
    (small_disk / "ballast").unlink()
    broken = verify(Store.open(store))
    assert 0 < broken.members < 340
    assert_only_unfinished(broken)
    runner.ingest(sample_tar, store=store)
    assert_same(store, whole)


def assert_only_unfinished(verdict: Verdict) -> None:
    """Require that nothing is broken but what a run that did not end leaves: images whose ledger rows are to come."""
    expected = ("not ingested to its end", "images belong to no member", "thumbnails belong to no image",
                "vectors belong to no image")  # fmt: skip
    assert [problem for problem in verdict.problems if not any(text in problem for text in expected)] == []


def test_a_search_on_a_full_disk_says_so(runner, whole, small_disk, tmp_path):
    store = stored_copy(whole, small_disk / "store")
    shutil.rmtree(store / "cache", ignore_errors=True)
    state = os.statvfs(small_disk)
    with (small_disk / "ballast").open("wb") as file:
        file.write(bytes(state.f_bavail * state.f_frsize - 2**20))
    done = runner.run("search", "--id", "@3", "--store", store, code=2)
    assert "is full" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    (small_disk / "ballast").unlink()
    assert runner.run("search", "--id", "@3", "-k", 3, "--json", "--store", store).stdout.count('"score": ') == 3
