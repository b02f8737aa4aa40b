"""fp32 beside bf16, OpenVINO beside torch: how far vectors move, and whether answers get worse, on real photos."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.caltech101 import LEFT_OUT
from benchmarks.job import Job, Settings
from benchmarks.suites.measures import named_labels, photos, report, whole
from engine import encoders
from engine.encoders.base import Vectors
from engine.encoders.torch_runtime import TorchRuntime
from engine.progress import Progress
from engine.sources import open_source
from engine.store.vectors import unit
from engine.workers import DecodePool

K = 10
QUERIES = 1000

__all__ = ["jobs", "report"]


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield the one job."""
    return whole("precisions", run, settings)


def run(settings: Settings, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield, for each runtime and precision, cosine to torch fp32, 10-NN overlap with it, and P@10."""
    found = photos(settings)
    classes = named_labels(found)
    names, pixels = _pixels(found.sources[0], {name for name, label in classes.items() if label not in LEFT_OUT})
    labels = np.array([classes[name] for name in names])
    rng = np.random.default_rng(0)
    queries = np.sort(rng.permutation(len(names))[:QUERIES])
    reference: Vectors | None = None
    for runtime in ("torch", "openvino"):
        for precision in ("fp32", "bf16"):
            vectors = unit(_encode(runtime, precision, pixels), "measured")
            reference = vectors if reference is None else reference
            near, true = _neighbours(vectors, queries), _neighbours(reference, queries)
            cosines = np.einsum("ij,ij->i", vectors.astype(np.float64), reference.astype(np.float64))
            yield {
                "dataset": found.name,
                "pixels": found.pixels,
                "images": len(names),
                "queries": len(queries),
                "seed": 0,
                "params": {"runtime": runtime, "precision": precision},
                "cosine_mean": round(float(cosines.mean()), 6),
                "cosine_min": round(float(cosines.min()), 6),
                "overlap_at_10": round(_overlap(near, true), 4),
                "p_at_10": round(float((labels[near] == labels[queries][:, None]).mean()), 4),
            }


def _pixels(source: Path, wanted: set[str]) -> tuple[list[str], NDArray[np.uint8]]:
    geometry = encoders.load("efficientnet_lite0").geometry
    names: list[str] = []
    parts: list[NDArray[np.uint8]] = []
    members = ((None, member) for member in open_source(source).members() if member.name in wanted)
    with DecodePool([geometry], thumbnails=False) as pool:
        for chunk in pool.map(members):
            names += [
                member.name for member, one in zip(chunk.members, chunk.decoded, strict=True) if one.rejected is None
            ]
            parts.append(np.array(chunk.pixels[geometry]))
    return names, np.concatenate(parts)


def _encode(runtime: str, precision: str, pixels: NDArray[np.uint8]) -> Vectors:
    encoder = encoders.load("efficientnet_lite0", precision=precision)
    if runtime == "torch":
        blueprint, _ = encoder._built  # type: ignore[union-attr]
        return TorchRuntime(blueprint, "cpu", precision, batch_size=32).forward(pixels)
    with tempfile.TemporaryDirectory(prefix="engine-bench-") as cache:
        return encoders.load("efficientnet_lite0", precision=precision, cache=Path(cache)).encode(pixels)


def _neighbours(X: Vectors, queries: NDArray[np.int64]) -> NDArray[np.int64]:
    scores = X[queries] @ X.T
    scores[np.arange(len(queries)), queries] = -np.inf
    return np.argpartition(-scores, K, axis=1)[:, :K]


def _overlap(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    return float(np.mean([len(np.intersect1d(one, other)) for one, other in zip(a, b, strict=True)])) / K
