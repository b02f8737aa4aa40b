"""The network and its training: what is learnt, that it can be taken up again, and what the encoder makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.encoders.autoencoder.inference import Reconstructor
from engine.encoders.autoencoder.network import LATENT, autoencoder, geometry
from engine.encoders.autoencoder.training import Batches, Config, centre, rate_at, split, train
from engine.errors import BadInput, Interrupted
from tests.engine.shapes import shapes

SHORT = Config(steps=24, batch=32, checkpoint=7)


@pytest.fixture(scope="module")
def pictures():
    return shapes(240)


@pytest.fixture(scope="module")
def plain(pictures):
    return train(pictures[0], replace(SHORT, steps=80))


def same(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize("side", [32, 64])
def test_the_shapes_that_go_in_come_out(side):
    import torch

    model = autoencoder(side, classes=3)
    latent = model["encoder"](torch.zeros(2, 3, side, side))
    assert latent.shape == (2, LATENT)
    assert model["decoder"](latent).shape == (2, 3, side, side)
    assert model["head"](latent).shape == (2, 3)


def test_another_side_is_refused():
    with pytest.raises(BadInput, match="32 or 64 pixels, not 48"):
        geometry(48)


def test_pictures_it_has_not_seen_are_reconstructed_better_than_by_the_mean_picture(pictures, plain):
    held = pictures[0][plain.held]
    mean = pictures[0].mean(axis=0)
    by_the_mean = (((held - mean) / 255) ** 2).mean()
    assert len(held) == 48
    network = Reconstructor(plain.weights, side=32)
    assert network.mse(held) < 0.5 * by_the_mean
    out = network.reconstructed(held)
    assert out.dtype == np.uint8
    # Within the rounding to whole grey levels.
    assert (((out / 255.0 - held / 255.0) ** 2).mean()) == pytest.approx(network.mse(held), abs=1e-4)


def test_the_history_counts_pixels_from_0_to_1(pictures, plain):
    best = plain.history[plain.history[:, 4].argmin()]
    assert best[0] == plain.best
    assert best[3] == pytest.approx(Reconstructor(plain.weights, side=32).mse(pictures[0][plain.held]), rel=0.05)


def test_latents_are_centred_and_nothing_else_changes(pictures, plain):
    import torch

    trained_on = np.setdiff1d(np.arange(240), plain.held)
    latents = Reconstructor(plain.weights, side=32).latents(pictures[0][trained_on])
    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=1e-4 * np.abs(latents).max())
    model = autoencoder(32, classes=2).eval()
    x = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        before = model["encoder"](x)
        out, scores = model["decoder"](before), model["head"](before)
        centre(model, np.linspace(-1, 1, LATENT))
        after = model["encoder"](x)
        torch.testing.assert_close(after, before - torch.linspace(-1, 1, LATENT))
        torch.testing.assert_close(model["decoder"](after), out, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model["head"](after), scores, atol=1e-4, rtol=1e-4)


def test_a_head_learns_classes_and_pictures_stay_reconstructed(pictures, plain):
    X, classes = pictures
    done = train(X, replace(SHORT, steps=80), labels=classes)
    network = Reconstructor(done.weights, side=32, classes=2)
    held = X[done.held]
    answers = network.scores(network.latents(held)).argmax(axis=1)
    assert (answers == classes[done.held]).mean() == 1.0
    assert network.mse(held) < 2 * Reconstructor(plain.weights, side=32).mse(held)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(pictures):
    first, again, other = (train(pictures[0], replace(SHORT, seed=seed)) for seed in (3, 3, 4))
    same(first.weights, again.weights)
    assert any((first.weights[name] != other.weights[name]).any() for name in first.weights)


@pytest.mark.parametrize("labelled", [False, True])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(pictures, labelled):
    X, labels = pictures[0], pictures[1] if labelled else None
    whole = train(X, SHORT, labels=labels)
    kept, steps = [], 0

    def killed() -> bool:
        nonlocal steps
        steps += 1
        return steps == 17

    with pytest.raises(Interrupted, match="after step 17 of 24"):
        train(X, SHORT, labels=labels, keep=kept.append, interrupted=killed)
    # Every seven steps, and when it was stopped.
    assert [int(state["step"]) for state in kept] == [7, 14, 17]
    for state in kept:
        resumed = train(X, SHORT, labels=labels, state=state)
        same(resumed.weights, whole.weights)
        np.testing.assert_array_equal(resumed.history, whole.history)


def test_what_keeping_costs_does_not_change_what_is_learnt(pictures):
    kept = []
    done = train(pictures[0], SHORT, keep=kept.append)
    same(done.weights, train(pictures[0], SHORT).weights)
    assert len(kept) == 3


def test_it_stops_when_nothing_is_gained_any_more():
    noise = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), dtype=np.uint8)
    done = train(noise, Config(steps=2000, batch=16, patience=2))
    assert done.stopped
    assert done.history[-1, 0] < 2000
    # Two validations after the best one, none of them better.
    assert done.history[:, 4].argmin() == len(done.history) - 3
    assert done.history[-3, 0] == done.best


def test_only_the_rows_that_are_named_are_looked_at(pictures):
    rows = np.arange(0, 240, 2)
    spoilt = pictures[0].copy()
    spoilt[1::2] = 255
    first, second = (train(X, SHORT, rows=rows) for X in (pictures[0], spoilt))
    same(first.weights, second.weights)
    assert set(first.held) <= set(rows)


def test_every_picture_is_taken_once_an_epoch_and_half_of_them_mirrored():
    batches = Batches(np.arange(100, 196), Config(steps=1, batch=32))
    epochs = [np.concatenate([batches.at(step)[0] for step in range(start, start + 3)]) for start in (0, 3)]
    for rows in epochs:
        np.testing.assert_array_equal(np.sort(rows), np.arange(100, 196))
    assert (epochs[0] != epochs[1]).any()
    mirrored = np.concatenate([batches.at(step)[1] for step in range(300)])
    assert mirrored.mean() == pytest.approx(0.5, abs=0.02)


def test_a_fifth_is_held_out_and_the_rate_rises_and_falls():
    known, held = split(1000, Config(steps=1))
    assert len(held) == 200
    np.testing.assert_array_equal(np.union1d(known, held), np.arange(1000))
    rates = [rate_at(step, Config(steps=100, rate=0.1)) for step in range(100)]
    assert rates[19] == pytest.approx(0.1)
    assert max(rates) == rates[19]
    assert rates[0] == pytest.approx(0.005)
    assert rates[99] < 0.001
