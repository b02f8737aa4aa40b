"""The command line: JSON whose keys hold, errors on one line with a remedy, and nothing on stdout but the answer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest

from engine.cli import COMMANDS, app, main
from engine.cli.progress import Drawn
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.interrupt import deferred, terminated_gently
from tests.engine.colour import BLUE, GREEN, RED, SPEC, picture, write_tar

ROOT = Path(__file__).parents[2]
NAMES = list(COMMANDS)
# Every command that does something: a group that only has others is none.
LINES = [
    [name, *inner]
    for name in NAMES
    for one in [app.get_command(click.Context(app), name)]
    for inner in (
        [[]]
        if not isinstance(one, click.Group) or one.invoke_without_command
        else [[command] for command in one.commands]
    )
]
# Names as they come: quotes, spaces, a line break, an escape sequence, other scripts, and what looks like a pattern.
ODD = ['it\'s "quoted".png', "line\nbreak\tand tab.png", "\x1b[31mred.png", "日本 ü.png", "100%_[x].png", "--json.png"]
FILES = {"red.png": picture(RED), "broken.png": b"no picture", "green.png": picture(GREEN)}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a folder with a store of three images, one of them a duplicate, and files to ask with."""
    folder = tmp_path_factory.mktemp("cli")
    tar = write_tar(folder / "pictures.tar", {**FILES, "again.png": picture(RED), "blue.png": picture(BLUE)})
    (folder / "labels.csv").write_text("image,label\nred.png,warm\nblue.png,cold\n")
    intake(folder / "store", Request([str(tar)], encoders=[SPEC], labels=folder / "labels.csv", workers=1))
    (folder / "query.png").write_bytes(picture((10, 20, 30)))
    (folder / "text.png").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    np.save(folder / "query.npy", np.ones(3))
    np.save(folder / "wide.npy", np.ones(4))
    (folder / "file").write_text("no store")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thing").write_text("mine")
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """Return a copy of that folder to write into."""
    return shutil.copytree(made, tmp_path / "made")


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function that runs a command in this process and returns (exit code, stdout, stderr)."""

    def run(folder: Path, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("ENGINE_STORE", "store")
        with pytest.raises(SystemExit) as caught:
            main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def document(out: str) -> dict:
    """Return the one JSON document that stdout holds."""
    (line,) = out.splitlines()
    return json.loads(line)


# --- JSON ---

INGESTED = {
    "run", "members", "images", "duplicates", "rejected", "seconds", "images_per_second", "spaces", "skipped",
    "store_version",
}  # fmt: skip
SPACE = {"dim", "rows", "fingerprint"}


def test_json_of_ingest(run, copy):
    write_tar(copy / "more.tar", {"new.png": picture((1, 2, 3)), "red.png": picture(RED), "bad.png": b""})
    code, out, _ = run(copy, "ingest", "more.tar", "--encoder", SPEC, "--workers", 1, "--json")
    found = document(out)
    assert code == 0
    assert found.keys() >= INGESTED
    assert (found["members"], found["images"], found["duplicates"], found["rejected"]) == (3, 1, 1, 1)
    assert found["spaces"].keys() == {"colour"}
    assert found["spaces"]["colour"].keys() >= SPACE
    assert (found["spaces"]["colour"]["dim"], found["spaces"]["colour"]["rows"]) == (3, 4)
    assert all(isinstance(version, int) for version in found["store_version"].values())
    code, out, _ = run(copy, "ingest", "more.tar", "--encoder", SPEC, "--workers", 1, "--json")
    assert (document(out)["members"], document(out)["run"]) == (0, None)


def test_json_of_a_dry_run(run, copy):
    write_tar(copy / "more.tar", FILES)
    _, out, _ = run(copy, "ingest", "more.tar", "--encoder", SPEC, "--dry-run", "--json")
    assert document(out).keys() >= {"members", "known", "seconds", "bytes"}


def test_json_of_an_ingest_of_a_cut_archive(run, copy):
    whole = write_tar(copy / "more.tar", {"1.png": picture((1, 2, 3)), "2.png": picture((3, 2, 1))}).read_bytes()
    (copy / "more.tar").write_bytes(whole[:1600])
    code, out, _ = run(copy, "ingest", "more.tar", "--encoder", SPEC, "--workers", 1, "--json")
    assert code == 1
    assert (document(out)["members"], len(document(out)["cut"])) == (1, 1)


def test_json_of_embed(run, copy):
    from tests.engine.brightness import SPEC as BRIGHTNESS

    _, out, _ = run(copy, "embed", "--encoder", BRIGHTNESS, "--workers", 1, "--json")
    found = document(out)
    assert found.keys() >= INGESTED
    assert found["spaces"]["brightness"].keys() >= SPACE
    assert found["spaces"]["brightness"]["rows"] == 3
    _, out, _ = run(copy, "embed", "--encoder", "fused", "--fuse", "colour=1", "--fuse", "brightness=1", "--json")
    assert document(out)["spaces"]["fused"]["rows"] == 3


def test_json_of_verify(run, made):
    code, out, _ = run(made, "verify", "--json")
    found = document(out)
    assert found.keys() >= {"ok", "members", "images", "duplicates", "rejected", "spaces", "problems"}
    assert (code, found["ok"], found["problems"], found["spaces"]) == (0, True, [], {"colour": 3})
    assert (found["members"], found["images"], found["duplicates"], found["rejected"]) == (5, 3, 1, 1)


def test_json_of_a_store_that_does_not_verify(run, copy):
    from engine.store import Store

    store = Store.open(copy / "store")
    table = store.vectors_table(store.space())
    table.delete(f"id = X'{table.rows(['id'])[0]['id'].hex()}'")
    code, out, _ = run(copy, "verify", "--json")
    assert (code, document(out)["ok"], len(document(out)["problems"])) == (1, False, 1)


def test_json_of_info(run, made):
    _, out, _ = run(made, "info", "--json")
    found = document(out)
    assert found.keys() >= {"images", "members", "spaces", "labels", "indexes", "store_version", "default_space"}
    assert (found["images"], found["members"], found["default_space"]) == (3, 5, "colour")
    assert found["labels"] == {"given": 2}


def test_json_of_members(run, made):
    _, out, _ = run(made, "members", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["name"] for one in found] == ["red.png", "broken.png", "green.png", "again.png", "blue.png"]
    for place, one in enumerate(found):
        assert one.keys() >= {"source", "ordinal", "name", "id", "rejected"}
        assert (one["source"], one["ordinal"]) == ("pictures.tar", place)
        assert (one["id"] is None) == (one["rejected"] is not None) == (one["name"] == "broken.png")
    _, out, _ = run(made, "members", "--json", "--limit", 2)
    assert len(out.splitlines()) == 2
    _, out, _ = run(made, "members", "--json", "--limit", 0)
    assert out == ""


def test_json_of_search(run, made):
    _, out, _ = run(made, "search", "--id", "red", "--image", "query.png", "-k", 2, "--json")
    found = document(out)
    assert found.keys() >= {"query", "space", "complete", "index", "hits"}
    assert (found["query"], found["space"], found["complete"]) == ("query.png, red", "colour", True)
    assert found["index"] == {"kind": "exact", "recall": 1.0}
    assert len(found["hits"]) == 2
    for hit in found["hits"]:
        assert hit.keys() >= {"id", "name", "ordinal", "score", "fpr", "label"}
        assert len(bytes.fromhex(hit["id"])) == 32
    assert found["hits"][0]["label"] == "warm"


def test_json_of_runs_and_spaces(run, made):
    _, out, _ = run(made, "runs", "--json")
    (one,) = map(json.loads, out.splitlines())
    assert one.keys() >= {"run", "command", "started", "seconds", "state", "result"}
    _, out, _ = run(made, "spaces", "--json")
    (space,) = map(json.loads, out.splitlines())
    _, out, _ = run(made, "info", "--json")
    assert document(out)["spaces"] == {"colour": space}
    assert space.keys() >= {"space", "fingerprint", "encoder", "dim", "rows", "coverage", "default"}


def test_json_of_what_writes(run, copy, made):
    _, out, _ = run(copy, "export", "--output", "v.npy", "--json")
    assert document(out) == {"space": "colour", "rows": 3, "dim": 3, "paths": ["v.npy", "v.csv"]}
    _, out, _ = run(copy, "remove", "blue", "--json")
    found = document(out)
    assert (found["images"], found["members"]) == (1, 1)
    _, out, _ = run(copy, "remove", "--where", "false", "--json")
    assert document(out) == {"run": None, "images": 0, "members": 0, "indexes": [], "graphs": []}
    _, out, _ = run(copy, "compact", "--json")
    assert document(out).keys() == {"bytes_before", "bytes"}
    _, out, _ = run(copy, "relocate", made / "pictures.tar", "pictures.tar", "--json")
    assert document(out) == {"sources": [str(copy / "pictures.tar")]}


# --- for people ---


@pytest.mark.parametrize(
    ("arguments", "columns", "rows"),
    [
        (["search", "--id", "red"], "rank\tscore\tfpr\tname\tlabel", 3),
        (["members"], "source\tordinal\tname\tid\tstate", 5),
        (["members", "--rejected"], "source\tordinal\tname\tid\tstate", 1),
        (["runs"], "run\tcommand\tstate\tseconds\tresult", 1),
        (["spaces"], "space\tencoder\tfingerprint\tdim\tvectors\tcoverage\tdefault", 1),
    ],
)
def test_tables_through_a_pipe_are_separated_by_tabs(run, made, arguments, columns, rows):
    code, out, _ = run(made, *arguments)
    first, *others = out.splitlines()
    assert (code, first, len(others)) == (0, columns, rows)
    assert {len(line.split("\t")) for line in others} == {len(columns.split("\t"))}


def test_ingest_ends_with_a_table_of_what_ran(run, copy):
    write_tar(copy / "more.tar", {"new.png": picture((1, 2, 3)), "bad.png": b""})
    code, out, err = run(copy, "ingest", "more.tar", "--encoder", SPEC, "--workers", 1)
    assert code == 0
    assert out.splitlines()[0].startswith("2 members: 1 image, 0 duplicates, 1 rejected in ")
    assert "\nencoder\tstate\twhat\ncolour\tran\t4 vectors, 3-d, " in out
    assert err == f"colour: {SPEC}, the user's own\n"


def test_odd_names_stay_on_their_line_and_are_found(run, tmp_path):
    colours = [(200, 10 * place, 0) for place in range(len(ODD))]
    write_tar(tmp_path / "odd.tar", {name: picture(c) for name, c in zip(ODD, colours, strict=True)})
    run(tmp_path, "ingest", "odd.tar", "--encoder", SPEC, "--workers", 1)
    _, out, _ = run(tmp_path, "members")
    assert len(out.splitlines()) == 1 + len(ODD)
    assert "\x1b" not in out
    assert "line\\nbreak\\tand tab.png" in out
    for name in ODD:
        code, out, _ = run(tmp_path, "search", f"--id={name}", "-k", 1, "--json")
        assert (code, document(out)["hits"][0]["name"]) == (0, name)
        code, out, _ = run(tmp_path, "search", f"--id={name}", "-k", 1, "--grid", "g.png")
        assert (code, len(out.splitlines())) == (0, 2)
    code, out, err = run(tmp_path, "search", "--id", "no\nsuch\x1b[31m")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "engine members" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_help_of_every_command(run, tmp_path, line):
    code, out, err = run(tmp_path, *line, "--help")
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")
    assert "--json" in out


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_no_arguments_are_a_call_for_help(run, tmp_path, arguments):
    code, out, err = run(tmp_path, *arguments)
    assert (code, err) == (0, "")
    assert all(f"\n  {name} " in out for name in NAMES)


def test_version(run, tmp_path):
    import engine

    assert run(tmp_path, "--version") == (0, f"engine {engine.__version__}\n", "")


# --- what is wrong ---

BAD = [
    (["search"], "BadInput", "--image FILE, --id NAME or --vector"),
    (["search", "--id", "nosuch"], "NoSuchImage", "engine members"),
    (["search", "--id", "broken"], "NoSuchImage", "rejected"),
    (["search", "--id", "id:12"], "BadInput", "id:"),
    (["search", "--id", ""], "NoSuchImage", "''"),
    (["search", "--id", "@99"], "NoSuchImage", "@99"),
    (["search", "--image", "nosuch.png"], "BadInput", "nosuch.png"),
    (["search", "--image", "."], "BadInput", "not a file"),
    (["search", "--image", "text.png"], "BadInput", "text.png"),
    (["search", "--image", "empty.png"], "BadInput", "empty.png"),
    (["search", "--image", "query.npy"], "BadInput", "query.npy"),
    (["search", "--vector", "nosuch.npy"], "BadInput", "nosuch.npy"),
    (["search", "--vector", "query.png"], "BadInput", "query.png"),
    (["search", "--vector", "wide.npy"], "BadInput", "3 dimensions"),
    (["search", "--vector", "."], "BadInput", "not a file"),
    (["search", "--id", "red", "-k", "0"], "BadInput", "k is 0"),
    (["search", "--id", "red", "-k", "-3"], "BadInput", "k is -3"),
    (["search", "--id", "red", "-k", "many"], "Usage", "'-k'"),
    (["search", "--id", "red", "--k", "0"], "Usage", "--k"),
    (["search", "--id", "red", "--threshold", "2"], "BadInput", "threshold is 2"),
    (["search", "--id", "red", "--threshold", "nan"], "BadInput", "threshold is nan"),
    (["search", "--id", "red", "--threshold=-inf"], "BadInput", "threshold is -inf"),
    (["search", "--id", "red", "--space", "nosuch"], "EmptySpace", "nosuch"),
    (["search", "--id", "red", "--where", "nosuch = 1"], "BadInput", "columns are id, name"),
    (["search", "--id", "red", "--where", "EXISTS (FROM read_csv('/etc/passwd'))"], "BadInput", "columns are"),
    (["search", "--id", "red", "--grid", "none/g.png"], "BadInput", "no folder"),
    (["search", "--id", "red", "--grid", "g.jpg"], "BadInput", "g.jpg"),
    (["search", "--id", "red", "--grid", "."], "BadInput", "PNG"),
    (["search", "red"], "Usage", "red"),
    (["search", "--id"], "Usage", "--id"),
    (["search", "--nosuch"], "Usage", "--nosuch"),
    (["nosuch"], "Usage", "nosuch"),
    (["--nosuch"], "Usage", "--nosuch"),
    (["search", "--id", "red", "--store", "nosuch"], "NoStore", "engine ingest"),
    (["search", "--id", "red", "--store", "file"], "NoStore", "engine ingest"),
    (["info", "--store", "nosuch"], "NoStore", "engine ingest"),
    (["info", "--store", "foreign"], "NoStore", "engine ingest"),
    (["verify", "--store", "nosuch"], "NoStore", "engine ingest"),
    (["index", "--memory", "9" * 400], "BadInput", "more than any memory"),
    (["index", "--memory", "9" * 400 + "GB"], "BadInput", "more than any memory"),
    (["index", "--update", "--kind", "ivf"], "BadInput", "--kind is for a new one"),
    (["index", "--update", "--recall", "0.95"], "BadInput", "--recall is for a new one"),
    (["index", "--update", "--param", "m=3"], "BadInput", "--param is for a new one"),
    (["graph", "-k", "9" * 400], "BadInput", "k is more than"),
    (["verify", "--drift", "0"], "BadInput", "--drift 0"),
    (["members", "--limit", "-1"], "Usage", "--limit"),
    (["members", "extra"], "Usage", "extra"),
    (["ingest"], "Usage", "SOURCE"),
    (["ingest", "nosuch.tar"], "SourceError", "nosuch.tar"),
    (["ingest", "no*.tar"], "SourceError", "no*.tar"),
    (["ingest", ""], "SourceError", "''"),
    (["ingest", "pictures.tar", "--encoder", "nosuch"], "BadInput", "nosuch"),
    (["ingest", "pictures.tar", "--encoder", "resnet"], "BadInput", "did you mean resnet"),
    (["ingest", "pictures.tar", "--encoder", "no.such:Class"], "EncoderUnavailable", "no.such:Class"),
    (["ingest", "pictures.tar", "--encoder", "json:nosuch"], "EncoderUnavailable", "nosuch"),
    (["ingest", "pictures.tar", "--encoder", SPEC, "--workers", "0"], "BadInput", "--workers 0"),
    (["ingest", "pictures.tar", "--encoder", SPEC, "--max-pixels", "0"], "BadInput", "--max-pixels 0"),
    (["ingest", "pictures.tar", "--encoder", SPEC, "--batch-size", "0"], "BadInput", "--batch-size 0"),
    (["ingest", "pictures.tar", "--encoder", "none", "--labels", "nosuch.csv"], "BadInput", "nosuch.csv"),
    (["ingest", "pictures.tar", "--encoder", "none", "--labels", "query.png"], "BadInput", "query.png"),
    (["ingest", "pictures.tar", "--encoder", "none", "--labels-role", "x"], "BadInput", "given, truth"),
    (["ingest", "pictures.tar", "--encoder", "none", "--vectors", "x=nosuch.npy"], "BadInput", "nosuch.npy"),
    (["ingest", "pictures.tar", "--encoder", "none", "--vectors", "x=query.npy"], "BadInput", "query.npy"),
    (["ingest", "pictures.tar", "--encoder", "none", "--store", "file"], "BadInput", "a file, not a store"),
    (["ingest", "pictures.tar", "--encoder", "none", "--store", "foreign"], "BadInput", "thing"),
    (["embed"], "Usage", "--encoder"),
    (["embed", "--encoder", "nosuch"], "BadInput", "nosuch"),
    (["embed", "--encoder", "fused"], "BadInput", "at least two"),
    (["embed", "--encoder", "fused", "--fuse", "colour", "--fuse", "x"], "EmptySpace", "'x'"),
    (["embed", "--encoder", SPEC, "--stored"], "BadInput", "fused"),
    (["embed", "--encoder", SPEC, "--store", "nosuch"], "NoStore", "nosuch"),
    (["export"], "Usage", "--output"),
    (["export", "--output", "none/v.npy"], "BadInput", "no folder"),
    (["export", "--output", "."], "BadInput", "cannot be written"),
    (["export", "--output", "/proc/v.npy"], "FileNotFoundError", "/proc/"),
    (["export", "--output", "v.x", "--format", "x"], "BadInput", "npy, parquet"),
    (["remove"], "BadInput", "engine remove NAME"),
    (["remove", "nosuch"], "NoSuchImage", "nosuch"),
    (["remove", "--where", "nosuch"], "BadInput", "columns are"),
    (["relocate", "nosuch", "file"], "BadInput", "pictures.tar"),
    (["relocate", "nosuch"], "Usage", "NEW"),
]


@pytest.mark.parametrize(
    ("arguments", "kind", "part"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_gets_one_line_and_a_remedy(run, made, arguments, kind, part):
    before = sorted(made.rglob("*"))
    code, out, err = run(made, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("engine: ")
    assert part in line
    code, out, err = run(made, arguments[0], "--json", *arguments[1:])
    error = document(out)["error"]
    assert (code, err) == (2, line + "\n")
    assert error.keys() == {"kind", "message", "remedy"}
    assert error["kind"] == kind
    assert error["remedy"]
    assert sorted(path for path in made.rglob("*") if "cache" not in path.parts) == [
        path for path in before if "cache" not in path.parts
    ]


def test_a_fault_of_ours_is_one_line_too(run, made, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("engine.info.info", broken)
    code, out, err = run(made, "info", "--json")
    assert (code, document(out)["error"]["kind"]) == (2, "ZeroDivisionError")
    assert err.startswith("engine: ZeroDivisionError: division\\nby zero; a fault of engine")
    monkeypatch.setenv("ENGINE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["info"])


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), RuntimeError("Query interrupted by the user")])
def test_ctrl_c(run, made, monkeypatch, raised):
    """Lance says it in its own way."""

    def interrupted(*_, **__):
        raise raised

    monkeypatch.setattr("engine.info.info", interrupted)
    code, out, err = run(made, "info", "--json")
    assert (code, document(out)["error"]["kind"]) == (130, "Interrupted")
    assert err == "engine: stopped; give the same command again\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "nowhere"), "there is no folder nowhere"),
        (("--dataset", "nosuch"), "there is no data set 'nosuch'"),
        (("--space", "nosuch"), "there is no space 'nosuch'"),
        (("--data", "store", "--dataset", "digits"), "--data store is a store, and --dataset digits is not in it"),
        (("--data", "store", "--space", "nosuch"), "there is no space 'nosuch'"),
        (("--rows", "0"), "0 is not in the range"),
        (("--reuse", "--recompute"), "--reuse measures nothing and --recompute all"),
    ],
)
def test_a_bench_that_cannot_be_measures_nothing(run, copy, tmp_path, arguments, said):
    code, out, err = run(copy, "bench", "representations", "--output", tmp_path / "bench", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert not list((tmp_path / "bench").rglob("results.jsonl"))


def test_a_bench_of_a_data_set_that_is_not_there_says_so_and_exits_with_1(run, copy, tmp_path):
    (copy / "data").mkdir()
    asked = ("bench", "representations", "--dataset", "mnist", "--output", tmp_path / "bench", "--json")
    code, out, _ = run(copy, *asked)
    assert (code, document(out)["available"]) == (1, False)


def test_sigterm_counts_like_ctrl_c(run, made, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("engine.info.info", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
    code, out, err = run(made, "info")
    assert (code, out, err) == (130, "", "engine: stopped; give the same command again\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_waits_where_ctrl_c_waits_and_is_heard_where_that_is_ignored():
    with terminated_gently(), deferred() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with terminated_gently(), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_progress_counts_units_and_says_what_is_left_once_it_is_known(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 4.0, 12.0, 24.0])
    monkeypatch.setattr("engine.cli.progress.time", SimpleNamespace(monotonic=lambda: next(clock)))
    drawn = Drawn()
    drawn.begin("train", 100, "steps")
    # What an earlier run had done comes first, and says nothing about the speed.
    for steps in (40, 8, 12):
        drawn.advance(steps)
    assert capsys.readouterr().err.splitlines() == [
        "train: 48 of 100 steps, 1.0/s, 52 s left",
        "train: 60 of 100 steps, 1.0/s, 40 s left",
    ]


# --- in processes of their own ---


def shell(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which `engine` is the command."""
    line = f'engine() {{ "{sys.executable}" -m engine "$@"; }}; set -o pipefail; {command}'
    env = {**os.environ, "PYTHONPATH": str(ROOT), "ENGINE_STORE": "store", **environment}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, check=False)


@pytest.mark.parametrize("options", ["", "--json"])
def test_a_reader_that_has_seen_enough(made, options):
    done = shell(made, f"engine members {options} | head -1")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == 1
    for command in ("members", "verify", "info", "search --help"):
        # The reader is gone before the first byte comes.
        done = shell(made, f"engine {command} {options} | sleep 0")
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", b""), command


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("options", ["", "--json"])
def test_a_full_disk_under_stdout(made, options):
    done = shell(made, f"engine members {options} > /dev/full")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("engine: the disk is full")


def test_arguments_that_are_no_text(made, tmp_path):
    # \xff is no UTF-8; the file it names is there all the same.
    name = os.fsdecode(b"q\xff.png")
    try:
        (tmp_path / name).write_bytes(picture(RED))
    except OSError:
        pytest.skip("this file system takes no such name")
    for options in ("", "--json", "--grid g.png", "--exclude-self"):
        done = shell(tmp_path, f"engine search --image $'q\\xff.png' -k 1 {options}", ENGINE_STORE=str(made / "store"))
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    done = shell(tmp_path, "engine search --image $'q\\xff.png' -k 1 --json", ENGINE_STORE=str(made / "store"))
    assert os.fsencode(json.loads(done.stdout)["query"]) == b"q\xff.png"
    for command in (
        "search --id $'\\xff'", "search --image $'no\\xff'", "info --store $'\\xff'", "ingest $'no\\xff'",
        "labels accept $'\\xff'", "labels revert $'\\xff'", "remove --run $'\\xff'",
    ):  # fmt: skip
        done = shell(tmp_path, f"engine {command} --json", ENGINE_STORE=str(made / "store"))
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert json.loads(done.stdout)["error"]["remedy"]


def test_stdout_holds_only_the_answer_of_a_real_network(sample_store, tmp_path, engine):
    import tarfile

    with tarfile.open(ROOT / "engine" / "sample" / "images.tar") as tar:
        (tmp_path / "q.jpeg").write_bytes(tar.extractfile("images/7.jpeg").read())
    done = engine("search", "--image", "q.jpeg", "-k", 1, "--json", "--grid", "g.png", "--store", sample_store)
    assert document(done.stdout)["hits"][0]["name"] == "images/7.jpeg"
    assert done.stderr == "drawn: g.png\n"
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")
    done = engine("verify", "--drift", 3, "--json", "--store", sample_store)
    assert document(done.stdout)["drift"]["images"] == 3
