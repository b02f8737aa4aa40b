"""What every test may use: the bundled sample, the command line, and caches that are not the user's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "engine" / "sample"

# No example is judged by the clock, and none is kept for the next run.
settings.register_profile("engine", deadline=None, database=None)
settings.load_profile("engine")
# What it notes about our sources goes with the process.
NOTES = tempfile.TemporaryDirectory(prefix="engine-hypothesis-")
set_hypothesis_home_dir(NOTES.name)


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what libraries cache out of the home folder, and the model hubs out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TORCH_HOME", "HF_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("ENGINE_STORE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def hears_ctrl_c() -> None:
    """Listen to Ctrl-C even where a shell has started us in the background, deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def sample_tar() -> Path:
    """Return the path of the sample's 340 photos."""
    return SAMPLE / "images.tar"


@pytest.fixture(scope="session")
def sample_labels() -> Path:
    """Return the path of the sample's labels."""
    return SAMPLE / "labels.csv"


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory, sample_tar: Path, sample_labels: Path) -> Path:
    """Return a store of the sample with vectors of the bundled network; a test that writes takes a copy."""
    from engine.ingestion.intake import intake
    from engine.ingestion.request import Request

    path = tmp_path_factory.mktemp("sample") / "store"
    intake(path, Request([str(sample_tar)], encoders=["efficientnet_lite0"], precision="fp32", labels=sample_labels))
    return path


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `engine ARGUMENTS...` in a process of its own, in `tmp_path`."""
    return partial(run_engine, tmp_path)


@pytest.fixture(scope="session")
def engine_in() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs `engine ARGUMENTS...` in a process of its own, in the folder given first."""
    return run_engine


def run_engine(
    cwd: Path, *arguments: object, env: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `engine ARGUMENTS...` in the folder `cwd`; unless `check` is off, it must succeed."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "engine", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"engine {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}"
    return done
