"""Progress on stderr: images a second, time left, rejected so far."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.text import Text

# Where stderr is a file or a pipe, one line in this many seconds.
QUIET_SECONDS = 10.0
# Before so many seconds of steady work nobody knows how long the rest takes.
STEADY_SECONDS = 5.0


class Rate(ProgressColumn):
    """Images a second since the work began."""

    def render(self, task: Task) -> Text:
        seconds = task.elapsed or 0.0
        return Text(f"{task.completed / seconds:.0f}/s" if seconds > 1 else "-/s")


class Left(TimeRemainingColumn):
    """The time left, once the work has gone on for a while."""

    def render(self, task: Task) -> Text:
        if (task.elapsed or 0.0) < STEADY_SECONDS:
            return Text("-:--:--", style="progress.remaining")
        return super().render(task)


class Drawn:
    """Draws what a verb reports."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"),
            Rate(), Left(), TextColumn("{task.fields[rejected]}"), console=self.console, transient=True,
            disable=not self.console.is_terminal,
        )  # fmt: skip
        self.what = self.standing = self.unit = ""
        self.done = self.rejected = 0
        self.total: int | None = None
        self.began = self.spoke = time.monotonic()
        # When the first part was done, and how much that was: until then networks load, or it was done before.
        self.first: tuple[float, int] | None = None

    def begin(self, what: str, total: int | None, unit: str = "images") -> None:
        self.what, self.total, self.unit, self.done, self.rejected, self.standing = what, total, unit, 0, 0, ""
        self.began = self.spoke = time.monotonic()
        self.first = None
        for task in self.bar.task_ids:
            self.bar.remove_task(task)
        self.task = self.bar.add_task(what, total=total, unit=unit, rejected="")
        self.bar.start()

    def advance(self, images: int, rejected: int = 0) -> None:
        self.done += images
        self.rejected += rejected
        note = f"{self.rejected} rejected" if self.rejected else self.standing
        self.bar.update(self.task, advance=images, rejected=note)
        now = time.monotonic()
        self.first = self.first or (now, self.done)
        if not self.console.is_terminal and now - self.spoke > QUIET_SECONDS:
            self.spoke = now
            steady = now - self.first[0] >= STEADY_SECONDS
            since, before = self.first if steady else (self.began, 0)
            rate = (self.done - before) / (now - since)
            speed = f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s"
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total and rate and steady else ""
            # How much there is may be unknown until it is read.
            whole = f" of {self.total}" if self.total else ""
            self.note(f"{self.what}: {self.done}{whole} {self.unit}, {speed}{left} {note}".rstrip())

    def stand(self, text: str) -> None:
        self.standing = text

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def stop(self) -> None:
        self.bar.stop()
