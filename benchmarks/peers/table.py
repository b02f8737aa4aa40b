"""The race of the indexes as a table of the documents, from result lines: one row an index, one column a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.lines.results import Row
from benchmarks.machine import told
from benchmarks.peers import PEERS
from benchmarks.peers.metrics import Race, Result, cheapest
from benchmarks.peers.report import TARGETS, column, ours_and_peer, summed, verdict
from benchmarks.reports.report import table_lines

LOWER, TARGET = TARGETS[-2:]


def search(rows: Sequence[Row]) -> Iterator[str]:
    """Yield median milliseconds and seconds to build at recall@10 ≥ 0.99, and below who is faster by what factor."""
    races = list(_races(rows))
    entered = {one.competitor for race in races for one in race.results}
    body = [[name, *(summed(race, name, TARGET) for race in races)] for name in PEERS if name in entered]
    yield from table_lines(("index", *(column(race) for race in races)), body)
    yield ""
    yield " ".join(line for race in races for line in _sentences(race))
    yield f"Median ms of one query · seconds to build, one thread; {told(rows)}."


def _races(rows: Sequence[Row]) -> Iterator[Race]:
    """Yield what the lines of each data set say, the smallest first."""
    names = {one["dataset"]: one["params"]["rows"] for one in rows if one["available"]}
    for name in sorted(names, key=lambda name: (names[name], name)):
        own = [one for one in rows if one["dataset"] == name and one["method"] in PEERS]
        of = next(one["params"] for one in own if one["available"])
        yield Race({"dataset": name, "rows": of["rows"], "dim": of["dim"]}, [_result(one) for one in own])


def _result(one: Row) -> Result:
    if not one["available"]:
        return Result(one["method"], missing=one["note"] or "not measured")
    known = {name: value for name, value in one["metrics"].items() if name in Result.__dataclass_fields__}
    return Result(one["method"], one["params"], one["params"]["effort"], **known)


def _sentences(race: Race) -> Iterator[str]:
    """Yield who is faster at the target; at the lower one, if it is a peer."""
    there = [one for one in race.results if one.missing is None]
    name = race.run["dataset"]
    yield f"{name}: {verdict(there, TARGET)}"
    ours, peer = (cheapest(some, LOWER) for some in ours_and_peer(there))
    if ours is not None and peer is not None and peer.p50 < ours.p50:
        yield f"At {LOWER} {verdict(there, LOWER)}"
