"""The tables of the README and docs/benchmarks.md, from the result lines in benchmarks/results: none is typed by hand.

`python -m benchmarks.readme [DIR]` takes over what was measured into DIR (of full runs, by today's protocols), then
writes every table between `<!-- bench: NAME -->` and `<!-- /bench -->` anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.lines.kept import kept, take_over
from benchmarks.lines.results import RESULTS, Row, read
from benchmarks.peers.table import search
from benchmarks.reports.quality_tables import quality
from benchmarks.reports.speed_tables import bars, clusters, ingest, memory, soak, start
from engine.errors import BadInput, EngineError

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
BLOCK = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- /bench -->)", re.DOTALL)
TABLES: Mapping[str, Callable[[Sequence[Row]], Iterator[str]]] = {
    "representations": quality("representations", ("nmi", "ari", "ri", "accuracy"), method=False),
    "clustering": quality("clustering", ("nmi", "ari", "accuracy", "clusters", "noise"), method=True),
    "autoencoder": quality("autoencoder", ("nmi", "ari", "ri", "accuracy", "mse"), method=False),
    "retrieval": quality("retrieval", ("map", "p_at_1", "p_at_10", "r_at_100"), method=False),
    "search": search,
    "bars": bars,
    "soak": soak,
    "clusters": clusters,
    "ingest": ingest,
    "memory": memory,
    "start": start,
}


def rewritten(page: str, rows: Callable[[str], Sequence[Row]] = kept) -> str:
    """Return a page with every table made from the lines of its suite."""

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}{table(found[2], rows(found[2]))}{found[3]}"

    return BLOCK.sub(block, page)


def table(suite: str, rows: Sequence[Row]) -> str:
    """Return the table of a suite, with its sources below it; without lines, how to get them."""
    if not any(one["available"] for one in rows):
        return f"No result lines are kept yet: `engine bench {suite}`, `python -m benchmarks.readme build/bench`.\n"
    return "\n".join(TABLES[suite](rows)) + "\n"


def main(folders: Sequence[Path]) -> None:
    """Take over what was measured into each folder, then write the pages; raise `BadInput` before writing."""
    for folder in folders:
        found = [suite for suite in TABLES if (folder / suite / RESULTS).exists()]
        if not found:
            raise BadInput(f"nothing was measured into {folder}", f"engine bench SUITE --output {folder}")
        for suite in found:
            list(read(folder / suite / RESULTS))
    for folder in folders:
        for suite in TABLES:
            if count := take_over(suite, folder):
                print(f"{suite}: {count} lines from {folder}")
    for page in PAGES:
        page.write_text(rewritten(page.read_text()))
        print(f"written: {page}")


if __name__ == "__main__":
    try:
        main([Path(one) for one in sys.argv[1:]])
    except EngineError as error:
        sys.exit(f"python -m benchmarks.readme [DIR]: {error}")
