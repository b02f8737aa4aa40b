"""`engine bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.output import FILE, emit, json_option, progress, table

if TYPE_CHECKING:
    from benchmarks.job import Settings

DATA = "data"


@click.command
@click.argument("suites", nargs=-1, required=True, metavar="SUITE...")
@click.option(
    "--data", type=FILE, envvar="ENGINE_DATA", default=DATA, show_default=True,
    help="The folder of data sets (variable ENGINE_DATA), or a store with labels.",
)  # fmt: skip
@click.option("--dataset", multiple=True, help="Repeatable: fashion-mnist, mnist, cifar10, cifar100, digits, …")
@click.option("--space", multiple=True, help="Repeatable: a space to look at, instead of the suite's own.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many seeds.")
@click.option("--download", is_flag=True, help="Fetch data sets that are not there from their own sites.")
@click.option("--vectors", type=FILE, help="A .npy file (n, dim) for the suite search.")
@click.option("--rows", type=click.IntRange(1), help="How many made rows, where the suite makes them.")
@click.option("--output", type=FILE, default="build/bench", show_default=True, help="The folder of what was measured.")
@click.option(
    "--quick", is_flag=True, help="A small run, of sample and digits: shows that it works; every row says so."
)
@click.option("--skip", multiple=True, help="An index that search or bars leaves out; its row says so.")
@click.option("--reuse", is_flag=True, help="Measure nothing: tables and pictures again from what was measured.")
@click.option("--recompute", is_flag=True, help="Measure anew what was measured before.")
@json_option
def command(
    *,
    suites: tuple[str, ...],
    data: Path,
    dataset: tuple[str, ...],
    space: tuple[str, ...],
    seeds: int,
    download: bool,
    vectors: Path | None,
    rows: int | None,
    output: Path,
    quick: bool,
    skip: tuple[str, ...],
    reuse: bool,
    recompute: bool,
    json: bool,
) -> None:
    """Measure suites, beside published values where there are any. What was measured before is not measured again.

    \b
    representations  spaces, by k-means with as many clusters as classes
    clustering       every clusterer on the same vectors
    retrieval        mAP, precision and recall, by class
    labels           labels from exemplars
    clusters         k-means, leiden and spectral at a million rows
    search           indexes beside other libraries
    bars             ratios to what the machine allows
    soak             growth of the commands with n
    autoencoder      clusters of what is learnt, and what an epoch costs
    ingest memory start duplicates precisions speed
                     speed and memory of single parts
    maps             UMAP from the stored graph beside umap-learn
    all              representations clustering retrieval labels search
    """
    from benchmarks.bench import suite
    from benchmarks.job import Settings
    from benchmarks.suites import ALL
    from engine.errors import BadInput

    if reuse and recompute:
        raise BadInput("--reuse measures nothing and --recompute all", "give one of them")
    if not reuse:
        _require(data, dataset, space)
    names = list(dict.fromkeys(one for name in suites for one in (ALL if name == "all" else (name,))))
    for name in names:
        suite(name)
    there: dict[str, bool] = {}
    for name in names:
        settings = Settings(
            output / name, data, dataset, space, seeds, rows, vectors, quick, reuse, recompute, download, skip
        )
        for row in _printed(name, settings, json=json):
            there[row["dataset"]] = there.get(row["dataset"], False) or row["available"]
    if not all(there.get(name, True) for name in dataset):
        raise click.exceptions.Exit(1)


def _require(data: Path, datasets: tuple[str, ...], spaces: tuple[str, ...]) -> None:
    """Raise `BadInput` for what is not there, before anything is measured."""
    from benchmarks.datasets import is_store
    from benchmarks.peers.vectors import NAMES
    from benchmarks.subjects.spaces import SPACES, require_spaces
    from engine.errors import BadInput

    if data != Path(DATA) and not data.is_dir():
        raise BadInput(f"there is no folder {data}", "name the folder of data sets or a store: --data PATH")
    if unknown := [one for one in datasets if one not in NAMES]:
        raise BadInput(f"there is no data set {unknown[0]!r}", f"one of: {', '.join(NAMES)}")
    if not is_store(data):
        require_spaces(spaces, SPACES)
    elif other := [one for one in datasets if one != "store"]:
        raise BadInput(f"--data {data} is a store, and --dataset {other[0]} is not in it", "give one of them")


def _printed(name: str, settings: Settings, *, json: bool) -> list[dict]:
    """Run a suite and print its rows: each when it is there as JSON, or all of them as a table."""
    from benchmarks.bench import bench

    rows = []
    with progress() as drawn:
        for row in bench(name, settings, drawn):
            rows.append(row)
            if json:
                emit(row)
    if not json:
        table(("dataset", "space", "method", "params", "metrics"), [_cells(row) for row in rows])
    return rows


def _cells(row: dict) -> tuple[str, ...]:
    def listed(values: dict) -> str:
        told = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
        return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in told.items())

    metrics = listed(row["metrics"]) or row["note"] or ""
    return row["dataset"], row["space"] or "", row["method"], listed(row["params"]), metrics
