"""Scatter pictures: colours counted in the picture, and the order and names of groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from engine.errors import BadInput
from engine.pictures.chart import PALE
from engine.pictures.palette import GROUP_COLOURS, Groups, Values
from engine.pictures.scatter import scatter

# Pixels that some dots of a colour have, and grey edges of letters have not.
DOTS = 150


def area(path: Path, colour: str) -> int:
    """Return the pixels of a colour, as it is or with the paper showing through."""
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    shades = [wanted, np.round(0.8 * wanted + 0.2 * 255)]
    pixels = np.asarray(Image.open(path).convert("RGB"), np.int16).reshape(-1, 3)
    return sum(int((np.abs(pixels - shade).max(axis=1) <= 2).sum()) for shade in shades)


def test_groups_are_in_order_of_size():
    groups = Groups.of(["b", "a", None, "b", "c", "a", "b"])
    assert groups.names == ("b", "a", "c")
    assert groups.codes.tolist() == [0, 1, -1, 0, 2, 1, 0]
    assert groups.sizes().tolist() == [3, 2, 1, 1]


def test_groups_of_nothing_are_none():
    groups = Groups.of([None, None])
    assert (groups.names, groups.codes.tolist(), groups.sizes().tolist()) == ((), [-1, -1], [2])


def test_values_are_binned_from_low_to_high():
    binned = Values(np.array([0.0, 0.59, 0.6, np.nan, 0.1, 0.05]), "score").binned()
    assert binned.codes.tolist() == [0, 5, 5, -1, 1, 0]
    assert binned.names[0] == "0.000–0.100" and binned.nothing == "no score"


def test_colours_are_different():
    assert len(set(GROUP_COLOURS)) == 18


def test_the_first_groups_have_colours_and_the_others_are_pale(tmp_path):
    codes = np.repeat(np.arange(20, dtype=np.int32), 10)
    xy = np.stack([codes, np.tile(np.arange(10), 20)], axis=1).astype(np.float32)
    names = tuple(f"class {code}" for code in range(20))
    path = scatter(xy, tmp_path / "a.png", title="all $ of them", note="a $ note", by=Groups(codes, names))
    assert all(area(path, colour) > DOTS for colour in (*GROUP_COLOURS, PALE))
    few = scatter(xy, tmp_path / "b.png", title="t", by=Groups(np.where(codes < 2, codes, 1), names[:2]))
    assert area(few, GROUP_COLOURS[1]) > DOTS > area(few, GROUP_COLOURS[2])
    assert area(few, PALE) < DOTS


def test_every_group_is_named_where_there_is_room(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Axes, "annotate", lambda self, text, place, **_: written.append((text, place)))
    # 18 heaps in a row, of which each has a second one below: two names of heaps that are close lie apart.
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(18, dtype=np.int32), 20)
    xy = np.stack([codes, np.tile(np.repeat([0.0, 3.0], [11, 9]), 18)], axis=1) + rng.normal(0, 0.01, (360, 2))
    by = Groups(codes, tuple(f"name {code}" for code in range(18)))
    scatter(xy.astype(np.float32), tmp_path / "a.png", title="t", by=by, legend="cluster")
    assert [text for text, _ in written] == list(by.names)
    assert {round(place[1]) for _, place in written} == {0, 3}
    # Where all lie in one place there is room for one.
    written.clear()
    scatter(np.zeros((360, 2), np.float32), tmp_path / "b.png", title="t", by=by)
    assert [text for text, _ in written] == ["name 0"]


def test_values_are_coloured_and_what_has_none_is_pale(tmp_path):
    xy = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
    values = np.where(np.arange(100) < 50, np.nan, np.arange(100))
    assert area(scatter(xy, tmp_path / "a.png", title="t", by=Values(values, "score")), PALE) > DOTS
    assert area(scatter(xy, tmp_path / "b.png", title="t", by=Values(np.arange(100.0), "score")), PALE) < DOTS


@pytest.mark.parametrize("by", [None, Groups.of([None] * 4), Values(np.full(4, np.nan), "score")])
def test_points_in_one_place_without_colour_are_drawn(by, tmp_path):
    path = scatter(np.zeros((4, 2), np.float32), tmp_path / "a.png", title="t", by=by)
    assert Image.open(path).format == "PNG"


def test_a_picture_needs_a_folder_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(BadInput, match="no folder"):
        scatter(np.zeros((4, 2), np.float32), tmp_path / "none" / "a.png", title="t")
    assert list(tmp_path.iterdir()) == []
