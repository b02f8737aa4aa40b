"""`engine bench`."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path

import click

from engine.cli.output import FILE, emit, json_option, progress, table


@click.command
@click.argument("suite")
@click.option("--data", type=FILE, help="Holds caltech101/ and cifar10/ (default: the variable ENGINE_DATA, or data).")
@click.option("--dataset", multiple=True, help="Repeatable: caltech101, cifar10, clustered-100k, clustered-1m.")
@click.option("--vectors", type=FILE, help="A .npy file (n, dim) to measure on instead.")
@click.option("--rows", type=int, help="How many made rows, where the suite makes them.")
@click.option("--output", type=FILE, default="build/bench", show_default=True, help="The folder of what was measured.")
@click.option("--quick", is_flag=True, help="A small run that shows that it works.")
@click.option("--skip", multiple=True, help="A competitor to leave out; its row says so.")
@click.option("--reuse", is_flag=True, help="Only compute tables and pictures again from what was measured.")
@json_option
def command(
    *,
    suite: str,
    data: Path | None,
    dataset: tuple[str, ...],
    vectors: Path | None,
    rows: int | None,
    output: Path,
    quick: bool,
    skip: tuple[str, ...],
    reuse: bool,
    json: bool,
) -> None:
    """Measure: search (peers side by side), bars (ratios to limits), soak (growth with n), labels (by exemplars)."""
    from benchmarks.data import DATA
    from benchmarks.suites import SUITES, Settings
    from benchmarks.suites import suite as chosen
    from engine.errors import BadInput

    if suite not in SUITES:
        raise BadInput(f"there is no suite {suite!r}", f"one of: {', '.join(SUITES)}")
    folder = output / suite
    folder.mkdir(parents=True, exist_ok=True)
    settings = Settings(folder, data or DATA, dataset, rows, vectors, quick, reuse, skip)
    with progress() as drawn, (folder / "results.jsonl").open("w") as kept:
        measured = []
        for row in chosen(suite)(settings, drawn):
            kept.write(jsonlib.dumps(row) + "\n")
            kept.flush()
            measured.append(row)
            if json:
                emit(row)
    if not json:
        table(("dataset", "method", "params", "metrics"), [_cells(row) for row in measured])


def _cells(row: dict) -> tuple[str, str, str, str]:
    def listed(values: dict) -> str:
        return " ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items())

    return row["dataset"], row["method"], listed(row["params"]), listed(row["metrics"]) or row["note"]
