"""The forward pass: pixels in, vectors out, at a precision that is measured where it is not given.

On a CPU OpenVINO runs where it is installed, torch otherwise; a GPU runs through torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from engine.encoders.base import Pixels, Vectors
from engine.encoders.machine import cores
from engine.encoders.notes import recall, remember
from engine.errors import BadInput

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
# Below this bf16 is not worth the last digits of the vectors.
WORTHWHILE = 1.2
# Pictures a request. Measured with EfficientNet-Lite0 on 2 cores, one stream a core, CPU ms a picture at fp32 and bf16:
# requests of 1 5.8 and 3.5, of 4 5.7 and 3.1, of 8 6.1 and 3.3, of 16 6.4 and 3.7.
REQUEST = 4


class Runtime(Protocol):
    """One network on one device at one precision."""

    name: str
    device: str
    precision: str
    threads: int
    batch_size: int

    def forward(self, pixels: Pixels) -> Vectors:
        """Return float32 (n, dim) for uint8 (n, side, side, 3)."""
        ...


def check_precision(precision: str, kind: str) -> None:
    """Raise `BadInput` for a precision that does not exist or that the device kind lacks."""
    if precision not in PRECISIONS:
        raise BadInput(f"unknown precision {precision!r}", f"use one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and kind == "cpu":
        raise BadInput("precision fp16 needs a GPU", "use --precision fp32 or bf16")


def measured_speedup(slow: Runtime, fast: Runtime, side: int, *, rounds: int = 5, seconds: float = 3.0) -> float:
    """Return how many times faster `fast` is, from the best of a few interleaved turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (2 * REQUEST * cores(), side, side, 3), dtype=np.uint8)
    best = {id(slow): float("inf"), id(fast): float("inf")}
    for runtime in (slow, fast):
        runtime.forward(pixels[:REQUEST])
    started = time.perf_counter()
    for _ in range(rounds):
        for runtime in (slow, fast):
            turn = time.perf_counter()
            runtime.forward(pixels)
            best[id(runtime)] = min(best[id(runtime)], time.perf_counter() - turn)
        if time.perf_counter() - started > seconds:
            break
    return best[id(slow)] / best[id(fast)]


def at_precision(
    make: Callable[[str], Runtime],
    precision: str,
    *,
    side: int,
    key: str,
    notes: Path | None,
    can_bf16: bool,
    speedup: Callable[[Runtime, Runtime, int], float] = measured_speedup,
) -> Runtime:
    """Return the runtime at `precision`; `auto` is bf16 on a CPU where it is at least 1.2 times as fast as fp32.

    What was found is kept in `notes` under `key`, so that a store's vectors stay of one precision.
    """
    if precision != "auto":
        return make(precision)
    # A GPU is asked for half precision in so many words.
    if not can_bf16:
        return make("fp32")
    known = recall(notes).get(key) if notes else None
    if known in ("fp32", "bf16"):
        return make(known)
    full, half = make("fp32"), make("bf16")
    chosen = half if speedup(full, half, side) >= WORTHWHILE else full
    if notes:
        remember(notes, key, chosen.precision)
    return chosen
