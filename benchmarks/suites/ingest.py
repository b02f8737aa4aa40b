"""An ingest beside what bounds it: the bare decoder and the bare model over the same images, in the same run.

bound = (CPU seconds of the fastest decode + thumbnail + forward) ÷ cores. The decoder is measured twice, as the engine
decodes (Pillow) and with torchvision's decoder and resize, and the faster one makes the bound.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.datasets import Found, Unavailable, dataset
from benchmarks.job import Job, Settings
from benchmarks.suites.measures import photos, report, whole
from engine import decode, encoders
from engine.encoders.base import Encoder, Pixels, decoding_side, prepared
from engine.encoders.machine import cores
from engine.progress import Progress
from engine.sources import open_source
from engine.sources.base import Member

__all__ = ["jobs", "report"]

SAMPLE = 1500
REPEATS = 3


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("ingest", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield figures for each precision: images a second of model, decoder and ingest, and ingest ÷ bound."""
    found = photos(settings)
    for precision in ("fp32", "bf16"):
        yield _measure(found, precision, scratch / precision)
    try:
        cifar = dataset("cifar10").find(settings.place())
    except Unavailable:
        return
    yield _again(cifar, scratch / "cifar10")


def _measure(found: Found, precision: str, store: Path) -> dict[str, Any]:
    source = open_source(found.sources[0])
    members = list(source.members(lambda ordinal: ordinal < SAMPLE))
    encoder = encoders.load("efficientnet_lite0", cache=store / "cache", precision=precision)
    pixels = np.stack([_engine_decode(encoder, member) for member in members])
    encoder.encode(pixels[:64])
    bare = _bare(encoder, members, pixels)
    wall, images = _ingest(found.sources[0], store, precision)
    after = _bare(encoder, members, pixels)
    # The machine drifts: the bound is the mean of what was measured before and after.
    cost = {name: (bare[name] + after[name]) / 2 for name in bare}
    decoder = min(cost["decode_pillow"], cost["decode_torchvision"])
    bound = (decoder + cost["thumbnail"] + cost["forward"]) / cores()
    return {
        "dataset": found.name,
        "pixels": found.pixels,
        "space": "efficientnet_lite0",
        "params": {"precision": precision},
        "images": images,
        "cores": cores(),
        "cpu_ms_an_image": {name: round(1e3 * value, 3) for name, value in cost.items()},
        "bare_model_images_per_second": round(cores() / cost["forward"], 1),
        "bare_decoder_images_per_second": round(cores() / (decoder + cost["thumbnail"]), 1),
        "bound_images_per_second": round(1 / bound, 1),
        "ingest_images_per_second": round(images / wall, 1),
        "ratio_to_bound": round(wall / images / bound, 3),
    }


def _bare(encoder: Encoder, members: Sequence[Member], pixels: Pixels) -> dict[str, float]:
    """Return CPU seconds an image of each part, the median of several passes."""
    pictures = [decode.decode(member.data or b"") for member in members]

    def thumbnails() -> None:
        for member, picture in zip(members, pictures, strict=True):
            if not picture.own_thumbnail:
                decode.thumbnail(picture, member.data or b"")

    parts: dict[str, Callable[[], object]] = {
        "decode_pillow": lambda: [_engine_decode(encoder, member) for member in members],
        "decode_torchvision": lambda: [_torchvision_decode(member) for member in members],
        "thumbnail": thumbnails,
        "forward": lambda: encoder.encode(pixels),
    }
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(REPEATS):
        for name, part in parts.items():
            began = time.process_time()
            part()
            seconds[name].append((time.process_time() - began) / len(members))
    return {name: median(passes) for name, passes in seconds.items()}


def _engine_decode(encoder: Encoder, member: Member) -> Pixels:
    picture = decode.decode(member.data or b"", draft_side=decoding_side([encoder.geometry]))
    return prepared(encoder.geometry, picture.image)


def _torchvision_decode(member: Member) -> Any:
    import torch
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import center_crop, resize

    torch.set_num_threads(1)
    data = torch.frombuffer(bytearray(member.data or b""), dtype=torch.uint8)
    picture = decode_image(data, mode=ImageReadMode.RGB)
    return center_crop(resize(picture, [256], InterpolationMode.BICUBIC, antialias=True), [224, 224])


def _ingest(source: Path, store: Path, precision: str) -> tuple[float, int]:
    """Return wall seconds and images of a whole `engine ingest` process, its start included."""
    command = [sys.executable, "-m", "engine", "ingest", str(source), "--encoder", "efficientnet_lite0"]
    began = time.monotonic()
    subprocess.run([*command, "--precision", precision, "--store", str(store)], check=True, capture_output=True)
    wall = time.monotonic() - began
    from engine.store import Store

    return wall, Store.open(store).images.count()


def _again(found: Found, store: Path) -> dict[str, Any]:
    """Return how long the first and the second ingest of the same source take."""
    first, images = _ingest(found.sources[0], store, "auto")
    second, _ = _ingest(found.sources[0], store, "auto")
    return {
        "dataset": found.name,
        "pixels": found.pixels,
        "space": "efficientnet_lite0",
        "params": {"precision": "auto"},
        "images": images,
        "first_seconds": round(first, 2),
        "again_seconds": round(second, 2),
        "again_is_faster_by": round(first / second, 1),
        "first_images_per_second": round(images / first, 1),
    }
