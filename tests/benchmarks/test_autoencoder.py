"""The suite on a store of made pictures: rows of both ways of training, and an epoch beside the bare pass."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.job import Settings
from benchmarks.lines.published import beside
from benchmarks.suites import autoencoder
from engine.ingestion.intake import intake
from engine.ingestion.request import Request
from engine.progress import Silent
from tests.engine.colour import SPEC
from tests.engine.shapes import write_shapes


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("suite")
    tar = write_shapes(folder / "shapes.tar", 210)
    intake(folder / "store", Request([str(tar)], encoders=[SPEC], labels_from_folders=True, workers=1))
    (folder / "out").mkdir()
    settings = Settings(folder / "out", data=folder / "store", quick=True, seeds=1)
    return [one for job in autoencoder.jobs(settings, Silent()) for one in job.run()]


def test_both_ways_of_training_and_the_cost_are_measured(rows):
    assert [(one["space"], one["method"]) for one in rows] == [
        ("autoencoder", "k-means"), ("autoencoder_head", "k-means"), ("autoencoder", "epoch"),
    ]  # fmt: skip
    plain, head, epoch = (one["metrics"] for one in rows)
    assert plain["head_accuracy"] is None
    assert 0 <= head["head_accuracy"] <= 1
    for one in (plain, head):
        assert 0 < one["mse"] < 0.3
        assert 0 <= one["nmi"] <= 1
    # 168 pictures in batches of 64: two steps an epoch.
    assert rows[0]["params"] == {"epochs": 2, "steps": 4, "batch": 64}
    assert epoch["ratio"] > 0 and epoch["images_per_second"] > 0


def test_the_chance_of_the_rand_index_stands_beside_it(rows):
    # Two classes and two clusters of shares p and q agree on a pair by chance with p² + (1−p)² … of both.
    chance = rows[0]["chance"]
    assert 0.45 < chance["ri"] < 0.75
    assert chance["nmi"] < 0.05


def test_the_published_figures_stand_beside_ours_and_not_beside_the_epoch():
    ours = {"suite": "autoencoder", "dataset": "cifar10", "method": "k-means"}
    plain, head = (beside({**ours, "space": space}) for space in ("autoencoder", "autoencoder_head"))
    assert (plain["value"], head["value"]) == ({"nmi": 0.074, "ri": 0.811}, {"nmi": 0.433, "ri": 0.876})
    assert beside({**ours, "space": "autoencoder", "method": "epoch"}) is None


def test_the_bare_pass_looks_at_the_pictures_that_are_trained_on():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    bare = autoencoder._Bare(pixels, np.arange(40), 16)
    assert [tuple(one.shape) for one in bare.batches] == [(16, 3, 32, 32)] * 2
    bare.advance()
    assert bare.model["encoder"][-1].weight.grad.abs().sum() > 0
