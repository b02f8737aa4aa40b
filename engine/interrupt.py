"""Ctrl-C, and SIGTERM which counts like it, at a moment when nothing is torn."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminated_gently() -> Iterator[None]:
    """Take SIGTERM (from `timeout`, systemd, a shutdown) as Ctrl-C, unless somebody handles or ignores it already."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        # Ctrl-C may be deferred now; where it is ignored, as in the background of a script, this is not.
        current = signal.getsignal(signal.SIGINT)
        if not callable(current):
            raise KeyboardInterrupt
        current(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def left_to_parent() -> Iterator[None]:
    """Let processes that are started in the block be deaf to Ctrl-C and SIGTERM.

    Both go to the whole process group (SIGTERM that of `timeout`); the parent decides what is finished first, and ends
    the others.
    """
    # Every command imports this file, few start processes.
    from multiprocessing import resource_tracker

    # The tracker's start, which would come with the first process's, unblocks the signals again.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed; long work asks it between two steps.

    A second Ctrl-C interrupts at once. Where Ctrl-C is not ours to handle (another thread, a process that ignores it)
    the function says no.
    """
    pressed = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield pressed.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
