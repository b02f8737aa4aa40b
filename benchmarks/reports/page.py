"""A suite's report as two files: Markdown, and one HTML page that holds its pictures and asks for nothing else."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.job import Settings
from benchmarks.lines.results import Row
from benchmarks.reports.report import Table, markdown, tables
from engine.progress import Progress
from engine.store.durable import write_whole

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #27272a; max-width: 1100px; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid #e4e4e7; }
th { color: #71717a; font-weight: 600; }
tr.published td { color: #71717a; }
p.note { color: #52525b; font-size: 13px; margin: 0.2em 0; }
img { max-width: 100%; border: 1px solid #e4e4e7; margin: 0.5em 0 1.5em; }
"""


@dataclass(frozen=True)
class Report:
    """What a suite shows: which metrics, and which pictures of its folder."""

    suite: str
    metrics: Sequence[str]
    pictures: Sequence[str] = ()


def write(report: Report, rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the report of a suite whose seeds are summed up; see `write_tables`."""
    write_tables(tables(rows, report.suite, report.metrics), report.suite, rows, settings, progress, report.pictures)


def write_tables(
    made: Sequence[Table], suite: str, rows: Sequence[Row], settings: Settings, progress: Progress,
    pictures: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write report.md and report.html (of a quick run: quick.md and quick.html) into the suite's folder.

    `pictures` are names of PNG files there; those that are not there are left out.
    """
    stem = "quick" if settings.quick else "report"
    versions = ", ".join(sorted({str(one["protocol"]) for one in rows}))
    intro = f"Protocol {versions} (docs/protocols.md); mean ± standard deviation over the seeds."
    if settings.quick:
        intro += " A quick run on small data: it shows that the suite works, and its figures mean nothing else."
    shown = [settings.output / name for name in pictures if (settings.output / name).is_file()]
    save(settings.output / f"{stem}.md", markdown(made, suite, intro))
    save(settings.output / f"{stem}.html", page(made, suite, intro, shown))
    progress.note(f"written: {settings.output}/{stem}.md, {stem}.html")


def page(made: Sequence[Table], heading: str, intro: str, pictures: Sequence[Path]) -> str:
    """Return the whole page; pictures are PNG files, taken into it."""
    return "\n".join(_page(made, html.escape(heading), html.escape(intro), pictures)) + "\n"


def _page(made: Sequence[Table], heading: str, intro: str, pictures: Sequence[Path]) -> Iterator[str]:
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
    yield f"<style>{STYLE}</style></head><body><h1>{heading}</h1><p>{intro}</p>"
    for one in made:
        yield f"<h2>{html.escape(one.title)}</h2><table><tr>"
        yield "".join(f"<th>{html.escape(cell)}</th>" for cell in one.head) + "</tr>"
        for row in one.body:
            kind = ' class="published"' if row[0] == "published" else ""
            yield f"<tr{kind}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        yield "</table>"
        yield from (f'<p class="note">{html.escape(note)}</p>' for note in one.notes)
    for path in pictures:
        data = base64.b64encode(path.read_bytes()).decode()
        yield f'<img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}">'
    yield "</body></html>"


def save(path: Path, text: str) -> None:
    """Write a text whole or not at all, with ? for what is no UTF-8, as names of files may be; raise `DiskFull`."""
    write_whole(path, text.encode("utf-8", errors="replace"))
