"""The peak of all processes' own memory during an ingest, for 5,000 and for 60,000 images of CIFAR-10.

Own memory is the proportional set size: pages shared with other processes count in part, file caches not at all.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.datasets import Unavailable, dataset
from benchmarks.job import Job, Settings
from benchmarks.suites.measures import report, whole
from engine.progress import Progress

__all__ = ["jobs", "report"]

SMALL = 5000
INTERVAL = 0.25


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("memory", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield the peaks and their ratio; raise `Unavailable` where CIFAR-10 is not at hand as one file."""
    cifar = dataset("cifar10").find(settings.place())
    source = cifar.sources[0]
    if not source.is_file():
        raise Unavailable(f"{source} is a folder", "pack it: tar cf cifar10.tar train test")
    small = scratch / "small.tar"
    _first(source, small, SMALL)
    few, _ = peak(small, scratch / "small")
    many, images = peak(source, scratch / "large")
    yield {
        "dataset": cifar.name,
        "pixels": cifar.pixels,
        "sizes": [SMALL, images],
        "peak_mib": [round(few / 2**20), round(many / 2**20)],
        "ratio": round(many / few, 3),
    }


def _first(source: Path, target: Path, count: int) -> None:
    """Write the first `count` members of a tar into another."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for _ in range(count):
            member = old.next()
            assert member is not None
            new.addfile(member, old.extractfile(member))


def peak(source: Path, store: Path) -> tuple[int, int]:
    """Return (peak bytes over all processes, images) of an ingest."""
    command = [sys.executable, "-m", "engine", "ingest", str(source), "--no-autoencoder", "--store", str(store)]
    process = subprocess.Popen([*command, "--encoder", "efficientnet_lite0"], stdout=-3, stderr=-3)
    most = processes.peak(process, _anonymous, interval=INTERVAL)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}")
    from engine.store import Store

    return most, Store.open(store).images.count()


def _anonymous(pid: int) -> int:
    """Return the proportional set size of a process without file-backed pages."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0)
