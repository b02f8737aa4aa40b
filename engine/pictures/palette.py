"""Colours for groups and for values, apart to colour-blind eyes too, and what each group of a picture is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.pictures.chart import COLOURS, PALE

DARK, LIGHT = 0.62, 0.45
BINS = 6


def _mixed(colour: str, target: int, share: float) -> str:
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(part + (target - part) * share):02x}" for part in parts)


# Each hue as it is, darker, and lighter: lightness is seen by every eye.
GROUP_COLOURS = (
    *COLOURS,
    *(_mixed(colour, 0, 1 - DARK) for colour in COLOURS),
    *(_mixed(colour, 255, LIGHT) for colour in COLOURS),
)
# From low to high, of even steps in lightness: cividis (Nuñez, Anderton and Renslow 2018), at six places.
STEPS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")


@dataclass(frozen=True)
class Groups:
    """`codes` int (n,) say of which group each point is, −1 of none, which is called `nothing`.

    `names` are the groups, those first that get a colour first; `colours` are theirs if they are not the usual ones.
    `ranges` says that they are ranges of a value.
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]
    nothing: str = "no label"
    colours: tuple[str, ...] = GROUP_COLOURS
    ranges: bool = False

    @property
    def without(self) -> str:
        """Return what the points of no group are called on a picture: nothing that a group is called."""
        name = self.nothing
        while name in self.names:
            name = f"({name})"
        return name

    def sizes(self) -> NDArray[np.int64]:
        """Return the points of each group, and of none in the last place."""
        counts = np.bincount(np.where(self.codes < 0, len(self.names), self.codes), minlength=len(self.names) + 1)
        return counts.astype(np.int64)

    @classmethod
    def of(cls, labels: Sequence[str | None], *, nothing: str = "no label") -> Groups:
        """Return the groups of points with these labels, the largest first."""
        known = np.array([label is not None for label in labels], bool)
        names, codes, counts = np.unique(
            np.array([label for label in labels if label is not None], object), return_inverse=True, return_counts=True
        )
        order = np.argsort(-counts, kind="stable")
        place = np.empty(len(order), np.int32)
        place[order] = np.arange(len(order))
        found = np.full(len(labels), -1, np.int32)
        found[known] = place[codes]
        return cls(found, tuple(str(names[one]) for one in order), nothing)


@dataclass(frozen=True)
class Values:
    """A number for each point (n,), nan for none, and what it is."""

    values: NDArray[np.float64]
    name: str
    nothing: str = "no score"

    def binned(self) -> Groups:
        """Return groups of even ranges, from low to high; the last range has the highest value in it."""
        known = np.isfinite(self.values)
        low, high = (self.values[known].min(), self.values[known].max()) if known.any() else (0.0, 1.0)
        edges = np.linspace(low, high, BINS + 1)
        codes = np.full(len(self.values), -1, np.int32)
        codes[known] = np.clip(np.searchsorted(edges, self.values[known], "right") - 1, 0, BINS - 1)
        names = tuple(f"{edges[place]:.3f}–{edges[place + 1]:.3f}" for place in range(BINS))
        return Groups(codes, names, self.nothing, STEPS, ranges=True)


def colour(groups: Groups, code: int) -> str:
    """Return the colour of a group that has one of its own, else that of all others."""
    return groups.colours[code] if 0 <= code < len(groups.colours) else PALE
