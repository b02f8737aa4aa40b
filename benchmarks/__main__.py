"""`python -m benchmarks [NAME...] [--data DIR]`: run the measurements and print what they found."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.data import DATA, Datasets

BENCHMARKS = {
    "ingest": "benchmarks.ingest:run",
    "memory": "benchmarks.memory:run",
    "search": "benchmarks.search:run",
    "dedupe": "benchmarks.dedupe:run",
    "precision": "benchmarks.precision:run",
    "labels_speed": "benchmarks.labels_speed:run",
}


def main() -> None:
    """Print one JSON line a measurement, and keep them in the file that --output names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--data", type=Path, default=DATA, help="holds caltech101/ and cifar10/ (see CONTRIBUTING.md)")
    parser.add_argument("--output", type=Path, default=Path("build/bench/results.jsonl"))
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(BENCHMARKS)}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a") as file:
        for name in options.names or BENCHMARKS:
            module, _, function = BENCHMARKS[name].partition(":")
            measure: Callable[[Datasets, Path], Iterator[dict[str, Any]]] = getattr(import_module(module), function)
            with tempfile.TemporaryDirectory(prefix="engine-bench-") as scratch:
                for row in measure(Datasets(options.data), Path(scratch)):
                    line = json.dumps({"benchmark": name, **row})
                    print(line, flush=True)
                    file.write(line + "\n")
                    file.flush()


if __name__ == "__main__":
    main()
