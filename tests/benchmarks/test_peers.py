"""Raw lines → figures worked out by hand, and every exact competitor against NumPy in float64."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench import bench
from benchmarks.job import Settings
from benchmarks.made.clustered import Clustered
from benchmarks.made.generate import SPACE, generate
from benchmarks.peers import PEERS
from benchmarks.peers.metrics import Race, Result, cheapest, front, measured, recall
from benchmarks.peers.numpy_peer import NumPyPeer
from benchmarks.peers.race import race
from benchmarks.peers.report import markdown, summary, verdict
from benchmarks.peers.suite import _row, jobs, names, read, report
from benchmarks.peers.vectors import Held, file_digest, identity, prepare, read_vectors
from engine.errors import BadInput
from engine.progress import Silent

EXACT = {"numpy", "engine exact", "engine flat", "lancedb flat", "scikit-learn"}
HEADER = {
    "kind": "run", "dataset": "by hand", "rows": 4, "dim": 2, "queries": 2, "rounds": 2, "seed": 0, "threads": 1,
    "cpu": "abacus", "python": "3", "versions": {"numpy": "2"},
}  # fmt: skip
TRUTH = [
    {"kind": "truth", "query": 0, "ids": [3, 1, 0, 2], "scores": [1.0, 0.9, 0.8, 0.1]},
    {"kind": "truth", "query": 1, "ids": [0, 2, 1, 3], "scores": [1.0, 0.5, 0.5, 0.5]},
]


def built(name: str, efforts: list[int | None], **facts) -> dict:
    known = {"params": {"M": 2}, "seconds": 3.0, "peak_bytes": 2**20, "size_bytes": 2**21}
    return {"kind": "build", "competitor": name, "efforts": efforts, **known, **facts}


def block(name: str, effort: int | None, mode: str, k: int, first: int, ids: list, seconds: list) -> dict:
    return {
        "kind": "block", "competitor": name, "effort": effort, "round": first, "mode": mode, "k": k, "first": first,
        "ids": ids, "seconds": seconds,
    }  # fmt: skip


def by_hand() -> list[dict]:
    """Return raw lines of a graph that finds three of four rows of one query and all of the other."""
    return [
        HEADER,
        *TRUTH,
        built("graph", [5]),
        block("graph", 5, "single", 10, 0, [[3, 1, 0]], [0.004]),
        block("graph", 5, "single", 10, 1, [[0, 1, 2, 3]], [0.002]),
        block("graph", 5, "batch", 10, 0, [[3, 1, 0]], [0.5]),
        block("graph", 5, "batch", 10, 1, [[0, 1, 2, 3]], [1.5]),
        block("graph", 5, "batch", 100, 0, [[3, 1, 0, 2]], [9.0]),
        built("gone", [None]),
        {"kind": "missing", "competitor": "gone", "reason": "its process ended"},
        {"kind": "missing", "competitor": "absent", "reason": "not installed (absent)"},
    ]


def test_raw_lines_become_the_figures_worked_out_by_hand():
    found = measured(by_hand())
    graph, gone, absent = found.results
    assert (graph.competitor, graph.params, graph.effort) == ("graph", {"M": 2}, 5)
    # k is at most the 4 rows there are: 3 of 4 and 4 of 4.
    assert graph.recall_at_10 == pytest.approx((3 / 4 + 1) / 2)
    assert graph.recall_at_100 == 1.0
    assert (graph.p50, graph.p95) == pytest.approx((0.003, 0.002 + 0.95 * 0.002))
    # Two queries in 0.5 + 1.5 seconds.
    assert graph.queries_per_second == pytest.approx(1.0)
    assert (graph.build_seconds, graph.build_peak_bytes, graph.size_bytes) == (3.0, 2**20, 2**21)
    assert (gone.missing, absent.missing) == ("its process ended", "not installed (absent)")


@pytest.mark.parametrize(
    ("found", "k", "expected"),
    [
        ([3, 1], 2, 1.0),
        ([1, 3], 2, 1.0),
        ([3, 0], 2, 0.5),
        ([], 2, 0.0),
        ([3, 1, 0, 2], 2, 1.0),
        ([2, 3, 1], 2, 0.5),
    ],
)
def test_recall_counts_the_k_best(found, k, expected):
    assert recall(found, TRUTH[0], k) == expected


@pytest.mark.parametrize("found", [[0, 1], [0, 2], [0, 3]])
def test_a_row_that_ties_with_the_last_is_as_good(found):
    assert recall(found, TRUTH[1], 2) == 1.0


def test_ties_do_not_take_recall_beyond_one():
    assert recall([0, 1, 2, 3], TRUTH[1], 2) == 1.0
    assert recall([1, 2, 3], TRUTH[1], 3) == 1.0


def some_results() -> list[Result]:
    return [
        Result("engine a", effort=1, recall_at_10=0.90, p50=1.0),
        Result("engine a", effort=2, recall_at_10=0.95, p50=3.0),
        Result("engine a", effort=3, recall_at_10=0.94, p50=4.0),
        Result("peer", effort=9, recall_at_10=0.99, p50=2.0),
    ]


def test_the_front_is_what_nothing_beats():
    assert [one.effort for one in front(some_results()[:3])] == [1, 2]
    assert [one.effort for one in front(some_results())] == [1, 9]


def test_the_cheapest_reaches_the_target():
    assert cheapest(some_results()[:3], 0.94) == some_results()[1]
    assert cheapest(some_results(), 0.995) is None


def test_the_verdict_says_where_a_peer_is_faster():
    assert verdict(some_results(), 0.90) == "engine a is 2.00 × as fast as the fastest peer, peer."
    assert verdict(some_results(), 0.95) == "peer is 1.50 × as fast as the fastest of ours, engine a."
    assert verdict(some_results(), 0.99) == "No index of this project reached 0.99."
    assert verdict(some_results()[:3], 0.90) == "No peer was measured."
    assert verdict(some_results()[3:], 0.90) == "No index of this project was measured."


def test_the_page_of_a_small_run_says_at_once_that_it_is_one():
    lines = by_hand()
    assert "mean nothing" not in markdown(measured(lines))
    quick = markdown(measured([{**HEADER, "quick": True}, *lines[1:]]))
    assert "its figures mean nothing" in quick.splitlines()[2]


def test_the_table_has_a_line_for_each_competitor_and_says_what_is_missing():
    text = markdown(measured(by_hand()))
    assert "| graph | – | at most 0.875 |" in text
    assert "- absent: not installed (absent)" in text
    assert "by hand: 4 × 2" in text


def test_data_sets_stand_beside_each_other():
    race = measured(by_hand())
    text = summary([race, race], 0.8)
    assert "| index | by hand, 4 × 2 | by hand, 4 × 2 |" in text
    # 3 ms a query, 3 s to build.
    assert "| graph | 3 · 3 s | 3 · 3 s |" in text
    assert "| absent | not installed (absent) | not installed (absent) |" in text
    assert text.count("by hand, 4 × 2: No index of this project was measured.") == 2
    assert "| graph | recall at most 0.875 |" in summary([race])


@pytest.mark.parametrize("name", sorted(PEERS))
def test_a_competitor_finds_what_numpy_finds(name, tmp_path):
    made = Clustered(1200, 32)
    X, Q = np.concatenate(list(made.blocks())), made.queries(12)
    module, _, kind = PEERS[name].partition(":")
    try:
        peer = getattr(import_module(module), kind)()
    except ImportError as error:
        pytest.skip(f"{name}: {error}")
    peer.build(X, tmp_path)
    size = peer.save()
    again = getattr(import_module(module), kind)()
    again.load(X, tmp_path)
    effort = peer.efforts()[-1]
    exact = np.argsort(-(Q.astype(np.float64) @ X.T.astype(np.float64)), axis=1, kind="stable")[:, :10]
    alone, together = [peer.query(q, 10, effort) for q in Q], peer.query_batch(Q, 10, effort)
    if name in EXACT:
        np.testing.assert_array_equal(alone, exact)
        np.testing.assert_array_equal(together, exact)
    for found in (alone, together):
        shared = [len(np.intersect1d(one, other)) for one, other in zip(found, exact, strict=True)]
        assert np.mean(shared) >= 9
    np.testing.assert_array_equal(again.query_batch(Q, 10, effort), together, "loaded, it answers as built")
    assert (again.efforts(), again.params) == (peer.efforts(), peer.params)
    assert size >= X.nbytes / 4
    assert json.loads(json.dumps(dict(peer.params))) == dict(peer.params)


class Counted(NumPyPeer):
    """Counts its builds in a file, dies while there is a file `stop`, refuses to load what is damaged."""

    def build(self, X, folder: Path) -> None:
        with (folder.parent / f"builds of {folder.name}").open("a") as file:
            file.write("x")
        (folder / "begun").touch(exist_ok=False)
        if (folder.parent / "stop").exists():
            os._exit(1)
        super().build(X, folder)

    def load(self, X, folder: Path) -> None:
        if (folder / "damaged").exists():
            raise ValueError("damaged")
        super().build(X, folder)


def test_a_race_that_was_stopped_goes_on_with_what_it_had_built(tmp_path):
    made, folder = Clustered(300, 16), tmp_path / "work"
    made.save(tmp_path / "rows.npy")
    held = Held("tiny", tmp_path / "rows.npy", made.queries(10))
    folder.mkdir()

    def raced() -> tuple[dict, dict]:
        peers = {"a": f"{__name__}:Counted", "b b": f"{__name__}:Counted"}
        lines = list(race(held, peers, folder, seed=0, progress=Silent()))
        built = {line["competitor"]: line for line in lines if line["kind"] == "build"}
        return built, {line["competitor"]: line["reason"] for line in lines if line["kind"] == "missing"}

    def builds() -> list[int]:
        return [len((folder / f"builds of {name}").read_text()) for name in ("a", "b-b")]

    (folder / "stop").touch()
    assert raced() == ({}, {"a": "its process ended", "b b": "its process ended"})
    (folder / "stop").unlink()
    whole, missing = raced()
    assert (whole.keys(), missing, builds()) == ({"a", "b b"}, {}, [2, 2])
    assert raced() == (whole, {}) and builds() == [2, 2]
    # Whatever cannot be read is built again, and the race goes on.
    (folder / "b-b" / "damaged").touch()
    assert raced()[1] == {} and builds() == [2, 3]
    for number, text in enumerate(("", "{", "[]", "{}"), 4):
        (folder / "b-b" / "built.json").write_text(text)
        assert raced()[1] == {} and builds() == [2, number]
    shutil.rmtree(folder / "a")
    (folder / "a").touch()
    assert raced()[1] == {} and builds() == [3, 7]


class Endless(NumPyPeer):
    """Builds for longer than anybody waits, with a lock on a file while its process is there."""

    def build(self, X, folder: Path) -> None:
        with (folder / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            print("building", flush=True)
            time.sleep(3600)


def test_what_builds_ends_with_a_race_that_is_killed(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32))
    code = f"""
import numpy as np
from pathlib import Path
from benchmarks.peers.worker import Worker
if __name__ == "__main__":
    folder = Path({str(tmp_path)!r})
    Worker("{__name__}:Endless", folder / "rows.npy", folder, np.eye(4, dtype=np.float32)).build()
"""
    (tmp_path / "race.py").write_text(code)
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    command, env = [sys.executable, tmp_path / "race.py"], {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as killed, (tmp_path / "lock").open("w") as file:
        assert killed.stdout is not None and killed.stdout.readline() == b"building\n"
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        killed.kill()
        # Waits for the end of the process that builds.
        fcntl.flock(file, fcntl.LOCK_EX)


def test_what_a_stopped_race_has_built_lasts_until_the_race_is_over(tmp_path, monkeypatch):
    np.save(tmp_path / "own.npy", np.concatenate(list(Clustered(300, 16).blocks())))
    (tmp_path / "out").mkdir()
    settings = Settings(tmp_path / "out", vectors=tmp_path / "own.npy")

    def unfinished() -> list[Path]:
        return sorted(settings.output.glob("unfinished-*/*"))

    def stopped() -> None:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr("benchmarks.peers.race._turns", interrupt)
            list(bench("search", settings, Silent()))

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.peers.suite.PEERS", {"a": f"{__name__}:Counted"})
    stopped()
    (first,) = unfinished()
    stopped()
    assert unfinished() == [first] and (first / "builds of a").read_text() == "x"
    # Other rows of the same name: what was built over the old ones goes.
    np.save(tmp_path / "own.npy", np.concatenate(list(Clustered(300, 16, 1).blocks())))
    stopped()
    (second,) = unfinished()
    assert second != first
    assert [one["available"] for one in bench("search", settings, Silent())] == [True]
    assert list(settings.output.glob("unfinished-*")) == []


def test_a_race_takes_turns_and_its_raw_file_is_enough(tmp_path):
    made = Clustered(300, 16)
    np.save(tmp_path / "rows.npy", np.concatenate(list(made.blocks())))
    held = Held("tiny", tmp_path / "rows.npy", made.queries(10))
    peers = {"numpy": PEERS["numpy"], "engine exact": PEERS["engine exact"], "absent": "benchmarks.absent:Absent"}
    (tmp_path / "work").mkdir()
    lines = list(race(held, peers, tmp_path / "work", seed=0, progress=Silent(), asked={"key": "this"}))
    blocks = [line for line in lines if line["kind"] == "block"]
    for name in ("numpy", "engine exact"):
        own = [line for line in blocks if line["competitor"] == name]
        assert [line["first"] for line in own if line["mode"] == "single"] == [0, 2, 4, 6, 8]
        assert [line["k"] for line in own if line["round"] == 0] == [10, 10, 100]
    # Nobody answers a second block before all have answered the first.
    assert [line["round"] for line in blocks] == sorted(line["round"] for line in blocks)
    with gzip.open(tmp_path / "raw-tiny.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    found = measured(lines)
    rows = [{**_row(found, one), "key": "this"} for one in found.results]
    report([{**one, "key": "other"} for one in rows], Settings(tmp_path), Silent())
    assert not (tmp_path / "tiny.md").exists() and not (tmp_path / "summary.md").exists()
    report(rows, Settings(tmp_path), Silent())
    assert [(row["method"], row["available"]) for row in rows] == [
        ("numpy", True), ("engine exact", True), ("absent", False),
    ]  # fmt: skip
    assert [row["metrics"]["recall_at_10"] for row in rows[:2]] == [1.0, 1.0]
    assert "not installed" in rows[2]["note"]
    assert (tmp_path / "tiny.png").read_bytes().startswith(b"\x89PNG")
    assert rows[0]["metrics"].items() <= vars(measured(lines).results[0]).items()


def test_nothing_to_reuse_is_said(tmp_path):
    with pytest.raises(BadInput, match="no such rows"):
        list(bench("search", Settings(tmp_path, reuse=True), Silent()))


def npy(folder: Path, name: str, array: object) -> Path:
    np.save(folder / name, array)
    return folder / name


def told(settings: Settings) -> list[dict]:
    return [dict(job.what) for job in jobs(settings, Silent())]


def test_a_file_of_vectors_is_told_by_what_is_in_it_and_never_called_like_a_data_set(tmp_path):
    path = npy(tmp_path, "caltech101.npy", np.eye(8, dtype=np.float32))
    first = told(Settings(tmp_path, vectors=path))
    assert first[0]["dataset"] == "vectors-caltech101"
    (tmp_path / "elsewhere").mkdir()
    assert told(Settings(tmp_path, vectors=path.rename(tmp_path / "elsewhere" / path.name))) == first
    assert told(Settings(tmp_path, vectors=npy(tmp_path, "caltech101.npy", 2 * np.eye(8)))) != first
    with pytest.raises(BadInput, match="give one of them"):
        told(Settings(tmp_path, vectors=path, datasets=("caltech101",)))


def test_a_store_is_raced_over_and_told_by_its_vectors(tmp_path, monkeypatch):
    first, second = (generate(tmp_path / str(seed) / "mine", rows=40, dim=8, seed=seed) for seed in range(2))
    monkeypatch.setattr("benchmarks.subjects.stores.NETWORK", SPACE)
    asked = [Settings(tmp_path / "out", data=store.path) for store in (first, second)]
    assert names(asked[0]) == ("store",) and names(Settings(tmp_path, datasets=("mnist",))) == ("mnist",)
    (one,), (other,), (again,) = told(asked[0]), told(asked[1]), told(asked[0])
    assert one == again and one["dataset"] == other["dataset"] and one["vectors"] != other["vectors"]
    held = prepare("store", asked[0], tmp_path)
    assert held.name == one["dataset"] == identity("store", asked[0])[0]
    X = np.concatenate([held.rows, held.queries])
    made = np.concatenate(list(Clustered(40, 8).blocks()))
    np.testing.assert_allclose(np.sort(X @ made[0]), np.sort(made @ made[0]), atol=1e-6)


def test_a_store_without_vectors_of_the_network_is_a_row(tmp_path):
    store = generate(tmp_path / "mine", rows=40, dim=8)
    (job,) = jobs(Settings(tmp_path / "out", data=store.path), Silent())
    (one,) = job.run()
    assert one["available"] is False and "efficientnet_lite0" in one["note"]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(3), "not \\(n, dim\\)"),
        (np.array([["a", "b"]]), "instead of real numbers"),
        (np.ones((5, 2), complex), "instead of real numbers"),
        (np.array([[None]]), "not a .npy file of numbers"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused_in_one_line(tmp_path, array, said):
    with pytest.raises(BadInput, match=said) as refused:
        read_vectors(npy(tmp_path, "x.npy", array))
    assert "\n" not in str(refused.value)


def test_files_that_are_no_npy_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(BadInput, match="there is no file"):
        read_vectors(path)
    with pytest.raises(BadInput, match="there is no file"):
        file_digest(path)
    for content, said in ((b"", "not a .npy"), (b"PK\x03\x04 nothing", "not a .npy"), (b"text", "not a .npy")):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=said):
            read_vectors(path)
    with path.open("wb") as file:
        np.savez(file, a=np.eye(3))
    with pytest.raises(BadInput, match=r"is an \.npz archive"):
        read_vectors(path)


@pytest.mark.parametrize("count", range(4))
def test_too_few_vectors_for_a_query_are_refused_and_leave_nothing(tmp_path, count):
    path = npy(tmp_path, "few.npy", np.ones((count, 2)))
    with pytest.raises(BadInput, match=f"has {count} vectors"):
        list(bench("search", Settings(tmp_path / "search", vectors=path), Silent()))
    assert [one.name for one in (tmp_path / "search").iterdir()] == [".lock"]


def test_a_damaged_raw_file_says_what_to_do(tmp_path):
    raw = tmp_path / "raw-x.jsonl.gz"
    whole = gzip.compress(b'{"kind": "run"}\n' * 1000)
    for content in (whole[:40], b"text", gzip.compress(b"{]"), whole[:20] + b"\xff" * 20 + whole[40:]):
        raw.write_bytes(content)
        with pytest.raises(BadInput, match=r"is damaged.*--recompute"):
            list(read(raw))
    raw.write_bytes(whole)
    assert len(list(read(raw))) == 1000


def test_a_plot_of_nothing_but_the_missing_is_drawn(tmp_path: Path):
    from benchmarks.peers.plot import draw

    draw(Race({**HEADER}, [Result("absent", missing="not installed")]), tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 0


def test_made_vectors_are_as_close_as_those_of_photos():
    made = Clustered(10_000)
    X, Q = np.concatenate(list(made.blocks())), made.queries(200)
    assert X.dtype == Q.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-5)
    scores = np.sort(Q @ X.T, axis=1)[:, ::-1]
    # Caltech-101 through an ImageNet network has 0.26, 0.79, 0.71 and 0.55.
    assert scores.mean() == pytest.approx(0.26, abs=0.05)
    for rank, expected in ((1, 0.79), (10, 0.71), (100, 0.55)):
        assert scores[:, rank - 1].mean() == pytest.approx(expected, abs=0.05)


def test_made_vectors_are_saved_as_they_are_drawn(tmp_path):
    made = Clustered(9000, 16)
    made.save(tmp_path / "rows.npy")
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert rows.dtype == np.float32 and rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, np.concatenate(list(made.blocks())))


def test_made_vectors_are_the_same_each_time_and_queries_are_not_among_them():
    X = np.concatenate(list(Clustered(9000, 16).blocks()))
    np.testing.assert_array_equal(X, np.concatenate(list(Clustered(9000, 16).blocks())))
    assert (Clustered(9000, 16).queries(50) @ X.T).max() < 1 - 1e-6
    assert not np.array_equal(X[:10], np.concatenate(list(Clustered(9000, 16, seed=1).blocks()))[:10])
