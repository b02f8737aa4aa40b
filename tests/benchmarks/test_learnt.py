"""Spaces that are learnt from a data set: from its training split alone, kept, and the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import Unavailable, dataset
from benchmarks.job import Settings
from benchmarks.subjects import learnt
from benchmarks.subjects.spaces import view
from benchmarks.subjects.stores import store_of
from benchmarks.subjects.subject import Subject, subject
from benchmarks.subjects.views import How
from engine.progress import Silent
from indexers.background import measure

QUICK = How(Silent(), quick=True)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Subject:
    """Return the 300 digits of a quick run."""
    settings = Settings(tmp_path_factory.mktemp("digits") / "suite", quick=True)
    found = dataset("digits").find(settings.place())
    return subject(found, store_of(found, settings.stores, Silent()))


@pytest.fixture
def halves(digits, tmp_path, monkeypatch) -> Subject:
    """Return the digits with splits: all but 60 to train on."""
    train = np.arange(300) < 240
    monkeypatch.setattr(Subject, "folder", property(lambda self: tmp_path))
    return replace(digits, train=train, test=~train)


def test_an_autoencoder_gives_unit_rows_that_tell_digits_apart(digits):
    seen = view(digits, "autoencoder", QUICK)
    X = seen.take(np.arange(300))
    assert X.shape == (300, 128)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-5)
    same = digits.codes[:, None] == digits.codes
    assert (X @ X.T)[same].mean() > (X @ X.T)[~same].mean() + 0.05


def test_what_was_learnt_is_kept_and_another_seed_is_another_training(digits):
    seen = view(digits, "autoencoder", QUICK)
    fingerprints = [
        learnt._fingerprint(digits, learnt.configured(300, learnt.QUICK_EPOCHS, seed), head=False) for seed in (0, 1)
    ]
    assert fingerprints[0] == seen.fingerprint != fingerprints[1]
    assert "one training" in seen.facts()["note"]
    X = seen.take(np.arange(300))
    kept = {one.suffix: one for one in Path(digits.folder).glob(f"autoencoder-{seen.fingerprint}*")}
    assert set(kept) == {".npy", ".safetensors"}
    written = kept[".npy"].stat().st_mtime_ns
    np.testing.assert_array_equal(view(digits, "autoencoder", QUICK).take(np.arange(300)), X)
    assert kept[".npy"].stat().st_mtime_ns == written
    # From nothing it is the same again.
    for one in kept.values():
        one.unlink()
    np.testing.assert_allclose(view(digits, "autoencoder", QUICK).take(np.arange(300)), X, atol=1e-4)


def test_a_head_learns_from_the_training_split_alone(halves, monkeypatch):
    trained = {}

    def train(pixels, config, *, rows, labels, **rest):
        trained.update(rows=rows, labels=labels)
        raise InterruptedError

    monkeypatch.setattr("engine.encoders.autoencoder.training.train", train)
    for space, labels in (("autoencoder", None), ("autoencoder_head", halves.codes)):
        with pytest.raises(InterruptedError):
            view(halves, space, QUICK).take(np.arange(3))
        np.testing.assert_array_equal(trained["rows"], np.arange(240))
        np.testing.assert_array_equal(trained["labels"], labels)


def test_without_a_training_split_a_head_has_nothing_to_learn_from(digits):
    with pytest.raises(Unavailable, match="no training split"):
        view(digits, "autoencoder_head", QUICK)


def test_few_pictures_teach_nothing(halves):
    few = np.arange(300) < 20
    with pytest.raises(Unavailable, match="20 pictures"):
        view(replace(halves, train=few, test=~few), "autoencoder", QUICK)


def test_fused_scores_are_the_weighted_sums_of_the_parts(digits, monkeypatch):
    monkeypatch.setattr(learnt, "FUSED", ("pixels", "autoencoder"))
    rows = np.arange(300)
    parts = [view(digits, name, QUICK).take(rows) for name in learnt.FUSED]
    raw = np.array([1 / measure(X).spread for X in parts])
    weights = raw / raw.sum()
    X = view(digits, "fused", QUICK).take(rows)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(
        X @ X.T, sum(w * (part @ part.T) for w, part in zip(weights, parts, strict=True)), atol=1e-5
    )
