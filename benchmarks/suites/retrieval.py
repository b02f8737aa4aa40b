"""Retrieval: pictures as queries, those of the same class as what is looked for; mAP, precision and recall by class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.job import Job, Settings, row
from benchmarks.lines.results import Row
from benchmarks.reports.page import Report, write
from benchmarks.subjects.leakage import Leaks, leaks
from benchmarks.subjects.spaces import SPACES, chosen
from benchmarks.subjects.survey import look, subjects, what
from benchmarks.subjects.views import How, View
from engine.pictures.grid import Tile, grid
from engine.progress import Progress
from engine.store.table import in_list
from indexers.ranking import average_precision, expected_average_precision, precision_at, recall_at

SUITE = "retrieval"
QUERIES, QUICK_QUERIES = 1000, 100
BLOCK = 200
SHOWN, HITS = 6, 7


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield a job for each data set, space and seed; seeds draw the queries."""
    for one in subjects(SUITE, settings, progress):
        if isinstance(one, Job):
            yield one
            continue
        guard = cache(partial(leaks, one, progress))
        for space in chosen(settings.spaces, one, tuple(SPACES)):
            seen = look(SUITE, one, space, How(progress, settings.quick))
            if isinstance(seen, Job):
                yield seen
                continue
            count = min(QUICK_QUERIES if settings.quick else QUERIES, len(one.judged))
            for seed in settings.every_seed():
                told = what(seen, "cosine", queries=count, seed=seed)
                yield Job(told, partial(_rows, seen, count, seed, guard, settings.output, settings.quick))


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the tables and the page."""
    pictures = sorted({one["picture"] for one in rows if one.get("picture")})
    write(Report(SUITE, ("map", "p_at_1", "p_at_10", "r_at_100"), pictures=pictures), rows, settings, progress)


def _rows(seen: View, count: int, seed: int, guard: Callable[[], Leaks | None], folder: Path, quick: bool) -> list[Row]:
    one = seen.subject
    place = np.sort(np.random.default_rng(seed).permutation(len(one.judged))[:count])
    queries, rows = one.judged[place], database(seen)
    ranked, best = rankings(seen, queries, rows)
    found, sizes = guard(), _sizes(seen, queries, rows)
    candidates = len(rows) - np.isin(queries, rows)
    kept = None if found is None else ~found.leaked[place]
    named = f"queries-{one.found.name}-{seen.space}{'-quick' if quick else ''}.png"
    if seed == 0:
        _draw(seen, queries, rows[best], folder / named)
    made = row(
        SUITE, one.found.name, "cosine", params={"queries": count, "database": len(rows)}, seed=seed,
        metrics=_metrics(ranked, one.codes[queries], one.classes), chance=_chance(sizes, candidates),
        leakage=None if found is None or kept is None else
        {**found.facts(), "queries": int(kept.sum()),
         "metrics": _metrics(ranked[kept], one.codes[queries][kept], one.classes, by_class=False)},
        images=len(one.judged), **seen.facts(),
    )  # fmt: skip
    return [{**made, "picture": named}]


def database(seen: View) -> NDArray[np.int64]:
    """Return the rows that are searched: the training split, or all where there is none."""
    train = seen.subject.train & ~seen.subject.test
    return np.flatnonzero(train) if train.any() else np.arange(len(seen.subject.ids))


def rankings(
    seen: View, queries: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return for each query which ranks are of its class, bool (q, n), and its first ranks as places in `rows`.

    A query that is itself among the rows is left out of its ranking, which is then one shorter for all.
    """
    X, codes = seen.take(rows), seen.subject.codes
    own = np.searchsorted(rows, queries)
    inside = (own < len(rows)) & (rows[np.minimum(own, len(rows) - 1)] == queries)
    ranks = len(rows) - 1 if inside.all() else len(rows)
    relevant, first = np.empty((len(queries), ranks), bool), np.empty((len(queries), min(HITS, ranks)), np.int64)
    for start in range(0, len(queries), BLOCK):
        some = slice(start, start + BLOCK)
        scores = seen.take(queries[some]) @ X.T
        itself = np.flatnonzero(inside[some])
        scores[itself, own[some][itself]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :ranks]
        relevant[some] = codes[rows[order]] == codes[queries[some], None]
        first[some] = order[:, :HITS]
    return relevant, first


def _metrics(
    ranked: NDArray[np.bool_], codes: NDArray[np.int32], classes: Sequence[str], *, by_class: bool = True
) -> dict[str, Any]:
    values = {
        "map": average_precision(ranked),
        "p_at_1": precision_at(ranked, 1),
        "p_at_10": precision_at(ranked, 10),
        "r_at_100": recall_at(ranked, 100),
    }
    found: dict[str, Any] = {name: _mean(one) for name, one in values.items()}
    if by_class:
        found["classes"] = {
            classes[code]: {
                "queries": int(np.count_nonzero(codes == code)),
                **{name: _mean(one[codes == code]) for name, one in values.items()},
            }
            for code in np.unique(codes)
        }
    return found


def _sizes(seen: View, queries: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many rows are relevant to each query, itself not counted."""
    codes = seen.subject.codes
    return np.bincount(codes[rows], minlength=len(seen.subject.classes))[codes[queries]] - np.isin(queries, rows)


def _chance(sizes: NDArray[np.int64], candidates: NDArray[np.int64]) -> dict[str, float | None]:
    """Return what any order would give; each query has so many `candidates`, of which `sizes` are relevant."""
    share = float((sizes / candidates).mean())
    expected = np.empty(len(sizes))
    for rows in np.unique(candidates):
        expected[candidates == rows] = expected_average_precision(sizes[candidates == rows], int(rows))
    chance = {"map": _mean(expected), "p_at_1": share, "p_at_10": share}
    return {**chance, "r_at_100": float(np.minimum(1.0, 100 / candidates).mean())}


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _draw(seen: View, queries: NDArray[np.int64], hits: NDArray[np.int64], path: Path) -> None:
    """Write queries of different classes with their nearest; what is of another class is framed."""
    one = seen.subject
    _, first = np.unique(one.codes[queries], return_index=True)
    # Spread over the classes, the same ones for every space.
    shown = first[np.unique(np.linspace(0, len(first) - 1, SHOWN).astype(np.int64))]
    needed = np.unique(np.concatenate([queries[shown], hits[shown].ravel()]))
    pictures = _thumbnails(seen, needed)
    tiles: list[Tile | None] = []
    for place in shown:
        query = queries[place]
        tiles.append(Tile(pictures[query], one.classes[one.codes[query]], "query"))
        for hit in hits[place]:
            other = one.codes[hit] != one.codes[query]
            tiles.append(
                Tile(pictures[hit], one.classes[one.codes[hit]], "another class" if other else "", bool(other))
            )
    grid(tiles, path, columns=1 + HITS, title=f"{one.found.name}, {seen.space}: a query and its {HITS} nearest")


def _thumbnails(seen: View, rows: NDArray[np.int64]) -> dict[int, bytes]:
    wanted = [seen.subject.ids[row].tobytes() for row in rows]
    found = {one["id"]: one["thumbnail"] for one in seen.subject.store.thumbnails.rows(where=in_list("id", wanted))}
    return {int(row): bytes(BytesIO(found[one]).getvalue()) for row, one in zip(rows, wanted, strict=True)}
