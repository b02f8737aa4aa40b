"""A race as Markdown: each competitor at its cheapest effort that reaches a recall, and who is fastest there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.peers.metrics import Race, Result, cheapest

TARGETS = (0.90, 0.95, 0.99)
OURS = "engine "
HEAD = (
    "index",
    "effort",
    "recall@10",
    "recall@100",
    "p50 ms",
    "p95 ms",
    "batch queries/s",
    "build s",
    "build MiB",
    "MiB",
)


def markdown(race: Race) -> str:
    """Return the document: what was measured, a table for each target, what was not there."""
    return "\n".join(_lines(race)) + "\n"


def _lines(race: Race) -> Iterator[str]:
    run = race.run
    yield f"# {run['dataset']}: {run['rows']:,} × {run['dim']}"
    yield ""
    if run.get("quick"):
        yield "A small run (`--quick`) that shows that the suite works: its figures mean nothing.\n"
    yield (
        f"{run['queries']} held-out queries in {run['rounds']} rounds, one thread, k = 10. {run['cpu']}, Python "
        f"{run['python']}, " + ", ".join(f"{name} {version}" for name, version in run["versions"].items()) + "."
    )
    there = [one for one in race.results if one.missing is None]
    for target in TARGETS:
        yield f"\n## recall@10 of {target:.2f} or more\n"
        yield from _table(there, target)
        yield f"\n{verdict(there, target)}"
    absent = [one for one in race.results if one.missing is not None]
    if absent:
        yield "\n## Not measured\n"
        yield from (f"- {one.competitor}: {one.missing}" for one in absent)


def summary(races: Sequence[Race], target: float = TARGETS[-1]) -> str:
    """Return one table of all data sets: median milliseconds of each competitor at its cheapest effort, and builds."""
    names = list(dict.fromkeys(one.competitor for race in races for one in race.results))
    titles = [column(race) for race in races]
    rows = [(name, [summed(race, name, target) for race in races]) for name in names]
    lines = [
        f"Median ms of one query at recall@10 ≥ {target}, and seconds to build; one thread, {races[0].run['cpu']}.\n",
        f"| index | {' | '.join(titles)} |",
        "|---|" + "---|" * len(races),
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
        *(f"\n{title}: {verdict([one for one in race.results if one.missing is None], target)}"
          for title, race in zip(titles, races, strict=True)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def column(race: Race) -> str:
    """Return what a data set is called at the head of a column."""
    return f"{race.run['dataset']}, {race.run['rows']:,} × {race.run['dim']}"


def summed(race: Race, name: str, target: float) -> str:
    """Return milliseconds and seconds to build of a competitor at the target, or why it has none."""
    own = [one for one in race.results if one.competitor == name]
    there = [one for one in own if one.missing is None]
    best = cheapest(there, target)
    if best is not None:
        return f"{_short(1e3 * best.p50)} · {best.build_seconds:,.0f} s"
    if there:
        return f"recall at most {max(one.recall_at_10 for one in there):.3f}"
    return own[0].missing or "not measured" if own else "not measured"


def _short(number: float) -> str:
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"


def ours_and_peer(results: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Return the results of this project's indexes and those of the others."""
    ours = [one for one in results if one.competitor.startswith(OURS)]
    return ours, [one for one in results if not one.competitor.startswith(OURS)]


def verdict(results: Sequence[Result], target: float) -> str:
    """Return who is faster at the target, ours or the best peer, and by what factor."""
    for some, lacking in zip(ours_and_peer(results), ("index of this project", "peer"), strict=True):
        if not some:
            return f"No {lacking} was measured."
    ours, peer = (cheapest(some, target) for some in ours_and_peer(results))
    if ours is None or peer is None:
        lacking = "index of this project" if ours is None else "peer"
        return f"No {lacking} reached {target:.2f}."
    if ours.p50 <= peer.p50:
        return f"{ours.competitor} is {peer.p50 / ours.p50:.2f} × as fast as the fastest peer, {peer.competitor}."
    return f"{peer.competitor} is {ours.p50 / peer.p50:.2f} × as fast as the fastest of ours, {ours.competitor}."


def _table(results: Sequence[Result], target: float) -> Iterator[str]:
    yield f"| {' | '.join(HEAD)} |"
    yield "|" + "---|" * len(HEAD)
    names = list(dict.fromkeys(one.competitor for one in results))
    own = {name: [one for one in results if one.competitor == name] for name in names}
    chosen = {name: cheapest(own[name], target) for name in names}
    for name in sorted(names, key=lambda name: _order(chosen[name])):
        one = chosen[name]
        if one is None:
            best = max(own[name], key=lambda one: one.recall_at_10)
            yield f"| {name} | – | at most {best.recall_at_10:.3f} |" + " |" * (len(HEAD) - 3)
        else:
            yield f"| {' | '.join(_cells(one))} |"


def _order(one: Result | None) -> float:
    return float("inf") if one is None else one.p50


def _cells(one: Result) -> list[str]:
    params = ", ".join(f"{name} {value}" for name, value in one.params.items())
    return [
        f"{one.competitor} ({params})" if params else one.competitor,
        "–" if one.effort is None else str(one.effort),
        f"{one.recall_at_10:.3f}",
        f"{one.recall_at_100:.3f}",
        f"{1e3 * one.p50:.3f}",
        f"{1e3 * one.p95:.3f}",
        f"{one.queries_per_second:,.0f}",
        f"{one.build_seconds:.1f}",
        f"{one.build_peak_bytes / 2**20:,.0f}",
        f"{one.size_bytes / 2**20:,.0f}",
    ]
