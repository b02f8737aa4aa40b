"""The autoencoder: clusters of its latents beside the truth, errors of reconstructions, and what an epoch costs.

Trained for ten epochs on the training split, a fifth of it held out for validation as always, without labels and with a
head; k-means on the unit vectors of the test split. The last job sets steps of the training loop beside the bare
forward and backward pass over batches that are tensors in memory, in turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.job import Job, Settings, row
from benchmarks.lines.results import Row
from benchmarks.reports.page import Report, write
from benchmarks.subjects.learnt import EPOCHS, HEAD, PLAIN, QUICK_EPOCHS, SIDE, configured, learnt, learnt_from, squares
from benchmarks.subjects.subject import Subject
from benchmarks.subjects.survey import subjects
from engine.encoders.autoencoder.network import autoencoder
from engine.encoders.autoencoder.training import Loop, as_input
from engine.encoders.base import Pixels
from engine.progress import Progress
from engine.store.vectors import unit
from labelers.cluster_metrics import ClusterMetrics, cluster_metrics

SUITE = "autoencoder"
# Starts of k-means, of which the tightest clusters count.
STARTS = 10
# What a row says of the training: of one without a head, the first two.
SHOWN = ("steps", "batch", "reconstruction", "classification")
# Turns of so many steps each.
TURNS, STEPS, QUICK_TURNS = 20, 16, 2


def jobs(settings: Settings, progress: Progress) -> Iterator[Job]:
    """Yield, for each data set, a job for each way of training and seed, and one for the cost of an epoch."""
    asked = settings if settings.datasets or settings.quick else _of_cifar(settings)
    for one in subjects(SUITE, asked, progress):
        if isinstance(one, Job):
            yield one
            continue
        same = {"dataset": one.found.name, "data": one.data, "split": one.split}
        for space in (PLAIN, HEAD):
            for seed in settings.every_seed():
                epochs = QUICK_EPOCHS if settings.quick else EPOCHS
                told = {**same, "space": space, "method": "k-means", "epochs": epochs, "seed": seed}
                yield Job(told, partial(_clusters, one, space == HEAD, epochs, seed, progress))
        turns = QUICK_TURNS if settings.quick else TURNS
        yield Job({**same, "method": "epoch", "turns": turns}, partial(_epoch, one, turns, progress))


def _of_cifar(settings: Settings) -> Settings:
    return replace(settings, datasets=("cifar10",))


def report(rows: Sequence[Row], settings: Settings, progress: Progress) -> None:
    """Write the tables and the page."""
    metrics = ("nmi", "ari", "ri", "accuracy", "mse", "head_accuracy", "ratio", "images_per_second")
    write(Report(SUITE, metrics), rows, settings, progress)


def _clusters(one: Subject, head: bool, epochs: int, seed: int, progress: Progress) -> list[Row]:
    pixels, rows = squares(one, progress), learnt_from(one)
    config = configured(len(rows), epochs, seed)
    done = learnt(one, config, head=head, progress=progress)
    network = done.network()
    seen, codes = np.array(pixels[one.judged]), one.codes[one.judged]
    latents = network.latents(seen)
    found = cluster_metrics(codes, _kmeans(unit(latents, SUITE), len(one.classes), seed), seed=seed)
    metrics = {**_figures(found), "mse": network.mse(seen), "head_accuracy": None, "best_step": done.best}
    if head:
        metrics["head_accuracy"] = float((network.scores(latents).argmax(axis=1) == codes).mean())
    params = {"epochs": epochs, **{name: asdict(config)[name] for name in SHOWN[: 4 if head else 2]}}
    return [
        row(
            SUITE, one.found.name, "k-means", params=params, metrics=metrics, seed=seed, split=one.split,
            chance={name: found.chance[name] for name in ("nmi", "ari", "ri", "accuracy")},
            space=HEAD if head else PLAIN, pixels=one.found.pixels, images=len(seen), seconds=done.seconds,
            note=f"trained on {len(rows) - done.held} images, {done.held} held out",
        )
    ]  # fmt: skip


def _figures(found: ClusterMetrics) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("nmi", "ami", "ari", "ri", "purity", "accuracy")}


def _kmeans(X: NDArray[np.float32], k: int, seed: int) -> NDArray[np.int32]:
    from sklearn.cluster import KMeans

    codes: NDArray[np.int32] = KMeans(k, n_init=STARTS, random_state=seed).fit_predict(X).astype(np.int32)
    return codes


def _epoch(one: Subject, turns: int, progress: Progress) -> list[Row]:
    """Measure an epoch of the loop, its validation included, beside the bare pass over as many batches in memory."""
    pixels, rows = squares(one, progress), learnt_from(one)
    loop = Loop(pixels, configured(len(rows), EPOCHS, 0), rows, None)
    bare = _Bare(pixels, rows, loop.batches.size)
    taken: dict[str, list[float]] = {"loop": [], "bare": []}
    for _ in range(turns + 1):
        for name, step in (("loop", loop.advance), ("bare", bare.advance)):
            began = time.perf_counter()
            for _ in range(STEPS):
                step()
            taken[name].append(time.perf_counter() - began)
    began = time.perf_counter()
    loop.validate()
    validation = time.perf_counter() - began
    # The first turn warms up.
    a_step = {name: float(np.median(values[1:])) / STEPS for name, values in taken.items()}
    epoch = a_step["loop"] * loop.batches.epoch + validation
    metrics = {
        "ratio": epoch / (a_step["bare"] * loop.batches.epoch),
        "step_ratio": a_step["loop"] / a_step["bare"],
        "images_per_second": loop.batches.size / a_step["loop"],
        "epoch_seconds": epoch,
    }
    return [
        row(SUITE, one.found.name, "epoch", params={"turns": turns, "steps": STEPS}, metrics=metrics, split=one.split,
            space=PLAIN, pixels=one.found.pixels, images=len(loop.batches.rows))
    ]  # fmt: skip


class _Bare:
    """Forward and backward over batches that are tensors already, and nothing else."""

    def __init__(self, pixels: Pixels, rows: NDArray[np.int64], size: int) -> None:
        self.batches = [
            as_input(pixels[rows[start * size : (start + 1) * size]]) for start in range(min(8, len(rows) // size))
        ]
        self.model = autoencoder(SIDE)
        self.number = 0

    def advance(self) -> None:
        from torch.nn import functional

        x = self.batches[self.number % len(self.batches)]
        self.model.zero_grad(set_to_none=True)
        functional.mse_loss(self.model["decoder"](self.model["encoder"](x)), x).backward()
        self.number += 1
