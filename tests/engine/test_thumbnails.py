"""Thumbnails by place: those of the table, in the order that is asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from engine.drawing.thumbnails import Thumbnails
from engine.remove import remove
from engine.store import Store


def test_each_image_has_its_own_and_those_without_have_none(tmp_path: Path, sample_store: Path):
    shutil.copytree(sample_store, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    expected = {row["id"]: row["thumbnail"] for row in store.thumbnails.rows()}
    ids = np.frombuffer(b"".join([*sorted(expected), bytes(32), b"\xff" * 32]), np.uint8).reshape(-1, 32)
    ids = ids[np.random.default_rng(0).permutation(len(ids))]
    found = Thumbnails(store, ids)
    assert found.of(slice(0, 400)) == [expected.get(bytes(one)) for one in ids]
    assert found.of(np.array([7, 3, 7])) == [expected.get(bytes(ids[row])) for row in (7, 3, 7)]
    remove(store, ["id:" + bytes(ids[5]).hex()])
    assert Thumbnails(store, ids).of(slice(5, 7)) == [None, expected.get(bytes(ids[6]))]


def test_a_store_without_thumbnails_has_none(tmp_path: Path):
    store = Store.create(tmp_path / "store")
    assert Thumbnails(store, np.zeros((2, 32), np.uint8)).of(slice(0, 2)) == [None, None]
