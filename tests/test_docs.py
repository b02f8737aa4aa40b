"""The documentation runs: console sessions and Python blocks are executed, in order, in one folder a document."""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from engine.cli import COMMANDS, app

ROOT = Path(__file__).parents[1]
CONTEXT = click.Context(app)
# Every command, those of a group behind it.
LINES = [
    [name, *inner]
    for name in COMMANDS
    for group in [app.get_command(CONTEXT, name)]
    for inner in [[], *([one] for one in (group.commands if isinstance(group, click.Group) else ()))]
]
# `...` in an expected output stands for anything: times, runs, versions.
CHECKER = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(path: Path) -> list[tuple[str, str]]:
    """Return (language, text) of every fenced block that is to be run. A block that begins `# NAME.py` is that file."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, text) for language, text in found if language in ("console", "python")]


def commands(session: str) -> list[tuple[str, str]]:
    """Return (command, expected output) for each line of a session that begins with `$ `."""
    parts = re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1]) for part in parts]


def engine(arguments: list[str], cwd: Path) -> str:
    """Return stdout and then stderr of `engine ARGUMENTS...`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def agree(expected: str, output: str) -> None:
    # Columns are separated by tabs through a pipe and by spaces in a document.
    assert CHECKER.check_output(expected, output, FLAGS), f"documented:\n{expected}\nprinted:\n{output}"


def test_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "sample").symlink_to(ROOT / "engine" / "sample")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "README.md", tmp_path)


def test_the_page_on_searching_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_store: Path) -> None:
    shutil.copytree(sample_store, tmp_path / "engine-store")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / "search.md", tmp_path)


def test_the_page_on_labels_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_store: Path) -> None:
    shutil.copytree(sample_store, tmp_path / "engine-store")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / "labels.md", tmp_path)


def test_the_page_on_the_autoencoder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_store: Path) -> None:
    shutil.copytree(sample_store, tmp_path / "engine-store")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / "autoencoder.md", tmp_path)


def test_the_page_on_maps_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_store: Path) -> None:
    shutil.copytree(sample_store, tmp_path / "engine-store")
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "sample").symlink_to(ROOT / "engine" / "sample")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / "maps.md", tmp_path)


def test_the_page_on_clusters_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_store: Path) -> None:
    shutil.copytree(sample_store, tmp_path / "engine-store")
    monkeypatch.chdir(tmp_path)
    run(ROOT / "docs" / "clusters.md", tmp_path)


def run(document: Path, tmp_path: Path) -> None:
    """Run the blocks of a document in the folder `tmp_path`, in order, and compare what they print."""
    names: dict[str, object] = {}
    for language, text in blocks(document):
        if language == "python" and (named := re.match(r"# (\w+\.py)\n", text)):
            (tmp_path / named[1]).write_text(text)
            continue
        if language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(text, document.name, "exec"), names)
            continue
        for command, expected in commands(text):
            words = shlex.split(command)
            if words[0] == "engine":
                agree(expected, engine(words[1:], tmp_path))
            else:
                assert words[0] in ("tar", "mv"), command
                subprocess.run(words, cwd=tmp_path, check=True)


def test_readme_has_an_example_of_every_command() -> None:
    typed = [command.split() for _, text in blocks(ROOT / "README.md") for command, _ in commands(text)]
    shown = {words[1] for words in typed if words[0] == "engine"}
    assert set(COMMANDS) <= shown


@pytest.mark.parametrize("line", [[], *LINES], ids=" ".join)
def test_help_is_documented(line: list[str], tmp_path: Path) -> None:
    """Compare `--help` with docs/commands.md; `python -m tests.test_docs` writes it anew."""
    assert help_text([*line, "--help"], tmp_path) in (ROOT / "docs" / "commands.md").read_text()


def help_text(arguments: list[str], cwd: Path) -> str:
    return f"```text\n$ engine {' '.join(arguments)}\n{engine(arguments, cwd)}```\n"


if __name__ == "__main__":
    texts = [help_text([*line, "--help"], Path.cwd()) for line in ([], *LINES)]
    heading = "# Commands\n\nWhat `--help` prints; a test compares it.\n\n"
    (ROOT / "docs" / "commands.md").write_text(heading + "\n".join(texts))
