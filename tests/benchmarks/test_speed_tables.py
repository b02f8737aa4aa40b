"""Tables of speed and memory from result lines worked out by hand."""

from __future__ import annotations

import json

import pytest

from benchmarks.job import row
from benchmarks.lines import kept as lines_kept
from benchmarks.lines.kept import kept, take_over
from benchmarks.machine import machine
from benchmarks.protocol import protocol
from benchmarks.readme import rewritten, table

ABACUS = {"processor": "Abacus", "cores": 2}


def line(suite: str, dataset: str, method: str, *, key: str = "k", of: dict | None = ABACUS, **facts) -> dict:
    made = {
        **row(suite, dataset, method, **facts),
        "protocol": protocol(suite),
        "quick": False,
        "key": key,
        "part": [0, 1],
    }
    return made if of is None else {**made, "machine": of}


def turn(
    name: str, effort: int, recall: float, ms: float, *, build: float = 3.0, dataset: str = "photos", **facts
) -> dict:
    params = {"effort": effort, "rows": 1000, "dim": 8}
    metrics = {"recall_at_10": recall, "p50": ms / 1e3, "build_seconds": build}
    return line("search", dataset, name, params=params, metrics=metrics, seconds=ms / 1e3, **facts)


def absent(name: str, note: str, dataset: str = "photos") -> dict:
    return line("search", dataset, name, params={"effort": None, "rows": 1000, "dim": 8}, note=note)


def race() -> list[dict]:
    """Return lines in which a peer is faster at 0.95 and ours at 0.99."""
    return [
        turn("engine pq", 1, 0.96, 0.4), turn("engine pq", 2, 0.99, 0.5), turn("numpy", 0, 1.0, 2.0, build=0.2),
        turn("hnswlib", 1, 0.95, 0.1), turn("hnswlib", 2, 0.98, 0.3), absent("usearch", "not installed (usearch)"),
    ]  # fmt: skip


def test_a_race_is_a_row_an_index_a_column_a_data_set_and_who_is_faster():
    text = table("search", [*race(), turn("numpy", 0, 1.0, 7.06, dataset="a")])
    assert text.splitlines()[:6] == [
        "| index | a, 1,000 × 8 | photos, 1,000 × 8 |",
        "|---|---|---|",
        "| numpy | 7.06 · 3 s | 2 · 0 s |",
        "| engine pq | not measured | 0.5 · 3 s |",
        "| hnswlib | not measured | recall at most 0.980 |",
        "| usearch | not measured | not installed (usearch) |",
    ]
    assert "a: No index of this project was measured." in text
    assert "photos: engine pq is 4.00 × as fast as the fastest peer, numpy." in text
    assert "At 0.95 hnswlib is 4.00 × as fast as the fastest of ours, engine pq." in text
    assert text.endswith("Abacus, 2 cores.\n")


def test_lines_from_before_machines_were_recorded_say_so():
    text = table("search", [{name: value for name, value in one.items() if name != "machine"} for one in race()])
    assert text.endswith("processor not recorded.\n")


def test_bars_stand_beside_what_they_have_to_be():
    def bar(name: str, ratio: float, rows: int = 50, **facts) -> dict:
        metrics = None if "reason" in facts else {"ratio": ratio, **{k: v for k, v in facts.items() if k != "note"}}
        note = facts.get("reason") or facts.get("note")
        return line("bars", f"clustered-{rows}", name, params={"rows": rows, "dim": 4}, metrics=metrics, note=note)

    lines = table("bars", [
        bar("build of hnsw", 0.014, at_most=0.6, met=True), bar("flat, one query", 9.0, 5, at_most=1.15, met=False),
        bar("build of pq", 0, reason="out of memory"), bar("flat, one query", 1.004, at_most=1.15, met=True),
        bar("best approximate index", 9.3, at_least=60.0, met=False, note="engine pq, effort 8"),
    ]).splitlines()  # fmt: skip
    assert lines[2].startswith("| flat, one query ÷ the fastest") and lines[2].endswith("| 1.00 | ≤ 1.15 | yes |")
    assert lines[3].endswith("0.99 (engine pq, effort 8) | 9.30 | ≥ 60 | no |")
    assert lines[4] == "| build of hnsw: its own memory beyond the index ÷ the vectors | 0.01 | ≤ 0.6 | yes |"
    assert lines[5].endswith("| out of memory | – | – |")
    assert lines[7] == "50 × 4, one thread, in turns; Abacus, 2 cores."


def test_growth_is_by_the_last_two_sizes():
    def grown(name: str, rows: int, mib: int, seconds: float, **facts) -> dict:
        known = {"params": {"rows": rows, "dim": 32}, "metrics": {"processor_seconds": seconds}, **facts}
        return line("soak", f"made-{rows}", name, seconds=9.0, peak_bytes=mib * 2**20, **known)

    lines = table("soak", [
        grown("verify", 100, 92, 1.0), grown("verify", 1000, 1926, 613.0),
        grown("search, first", 10, 50, 1.0), grown("search, first", 100, 60, 2.0),
        grown("search, first", 1000, 90, 11.0),
        grown("graph", 1000, 10, 1.0, metrics=None, note="exit 137: killed"),
    ]).splitlines()  # fmt: skip
    assert lines[0] == "| command | 10 | 100 | 1,000 | memory and time grow |"
    assert (
        lines[2]
        == "| `verify` | not measured | 92 MiB · 1.0 s | 1,926 MiB · 613 s | 20.9 × and 613.0 × for 10 × the rows |"
    )
    assert lines[3].endswith(
        "| 50 MiB · 1.0 s | 60 MiB · 2.0 s | 90 MiB · 11.0 s | 1.5 × and 5.5 × for 10 × the rows |"
    )
    assert lines[4] == "| `graph` | not measured | not measured | exit 137: killed | – |"


def test_clusters_stand_beside_their_bar():
    def step(name: str, gib: float, *, met: bool = True, **metrics) -> dict:
        bar = {"at_most_bytes": 8 * 2**30, "met": met}
        params = {"rows": 1000, "dim": 4, "full_iterations": 20}
        return line(
            "clusters",
            "made",
            name,
            params=params,
            metrics={**bar, **metrics},
            seconds=12.34,
            peak_bytes=int(gib * 2**30),
        )

    text = table("clusters", [
        step("spectral", 9.5, met=False, clusters=100), step("graph", 1.5),
        step("kmeans", 2, clusters=1000, products=5.84, inertia_ratio=0.9921, full_products=27.3),
    ])  # fmt: skip
    assert text.splitlines()[2:5] == [
        "| graph | – | 12.3 s | 1.5 GiB | < 8.0 GiB | yes |",
        "| kmeans | 1,000 | 12.3 s | 2.0 GiB | < 8.0 GiB | yes |",
        "| spectral | 100 | 12.3 s | 9.5 GiB | < 8.0 GiB | no |",
    ]
    assert (
        "5.8 × the processor time" in text
        and "0.992 × the inertia of 20 full iterations, which take 27.3 products" in text
    )


def test_a_method_is_kept_as_it_was_measured_last(tmp_path, monkeypatch):
    """An index that is built otherwise leaves no old effort behind; what a new race had not, stays."""
    monkeypatch.setattr(lines_kept, "KEPT", tmp_path / "kept")
    (tmp_path / "search").mkdir()

    def measured(rows: list[dict]) -> list[tuple]:
        (tmp_path / "search" / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
        take_over("search", tmp_path)
        return [(one["method"], one["params"]["effort"], one["metrics"].get("p50")) for one in kept("search")]

    assert len(measured(race())) == 6
    after = measured([turn("engine pq", 3, 0.99, 0.0123456, key="new"), {**absent("numpy", "left out"), "key": "new"}])
    assert ("engine pq", 3, 1.235e-05) in after and ("numpy", None, None) in after and len(after) == 5


def test_an_ingest_stands_beside_what_bounds_it():
    def ingested(precision: str, ingest: float, ratio: float) -> dict:
        speeds = {"ingest": ingest, "bare_model": 357.4, "bare_decoder": 2916.2, "bound": 318.0}
        metrics = {**{f"{name}_images_per_second": value for name, value in speeds.items()}, "ratio_to_bound": ratio}
        facts = {"params": {"precision": precision}, "images": 9144, "pixels": "as published"}
        return line("ingest", "caltech101", "ingest", metrics=metrics, **facts)

    again = {"first_images_per_second": 448.4, "again_seconds": 0.59, "again_is_faster_by": 227.1}
    more = {"params": {"precision": "auto"}, "images": 60000, "pixels": "JPEG"}
    rows = [ingested("bf16", 404.2, 1.324), ingested("fp32", 253.0, 1.26)]
    lines = table("ingest", [*rows, line("ingest", "cifar10", "ingest", metrics=again, **more)]).splitlines()
    assert lines[2] == "| caltech101, 9,144 images (as published), fp32 | 253 | 357 | 2,916 | 318 | 1.26 |"
    assert lines[3].endswith(", bf16 | 404 | 357 | 2,916 | 318 | 1.32 |")
    assert lines[5:] == [
        "Images a second, of a whole process, its start included; Abacus, 2 cores.",
        "cifar10, 60,000 images (JPEG): 448 images/s, the first use of the network included; "
        "again in 0.59 s, 227 × faster.",
    ]


def test_a_start_and_a_peak_are_a_sentence_each():
    values = {"search_seconds": {"median": 0.331, "least": 0.3}, "python_seconds": 0.014}
    begun = line("start", "made", "start", params={"rows": 1000, "dim": 8, "runs": 9}, metrics=values)
    assert table("start", [begun]) == (
        "`engine search --id` in a fresh process over 1,000 × 8: 0.33 s, median of 9 "
        "(a Python that does nothing: 0.01 s); Abacus, 2 cores.\n"
    )
    peaks = {"sizes": [50, 6000], "peak_mib": [967, 1041], "ratio": 1.077}
    assert table("memory", [line("memory", "cifar10", "memory", metrics=peaks)]) == (
        "cifar10: at most 967 MiB for 50 images and 1,041 MiB for 6,000 images, 1.08 × as much; Abacus, 2 cores.\n"
    )


@pytest.mark.parametrize("suite", ["search", "bars", "soak", "clusters", "ingest", "memory", "start"])
def test_a_page_that_gets_the_markers_gets_the_table(suite):
    page = f"a\n<!-- bench: {suite} -->\n<!-- /bench -->\nb\n"
    assert f"`engine bench {suite}`" in rewritten(page, lambda name: [])
    assert rewritten(page, lambda name: race() if name == "search" else []).startswith(f"a\n<!-- bench: {suite} -->\n")


def test_the_machine_names_its_processor():
    found = machine()
    assert found["processor"] and found["cores"] >= 1
