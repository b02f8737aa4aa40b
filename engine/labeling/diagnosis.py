"""What the doctor found, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from shlex import quote

import numpy as np

from labelers.bootstrap import Difference
from labelers.separation import Separation

# A threshold that finds a smaller share rests on a handful of images.
USEFUL = 0.01
# Where most of a collection has no label, a threshold that more random pairs reach lets in what nobody has measured.
MOSTLY = 0.5
RATE = 1e-3


@dataclass(frozen=True)
class Measured:
    """A space and how it separates the labels.

    brought   its vectors came with --vectors: no encoder makes them of a picture
    coverage  the share of the labelled images that have a vector in it
    fpr       the share of random pairs of all its images that reach the threshold needed; nan where none is
    alike     classes all of whose pairs are near duplicates in it
    """

    space: str
    fingerprint: str
    dim: int
    fused: bool
    brought: bool
    coverage: float
    separation: Separation
    fpr: float
    alike: tuple[str, ...]

    @property
    def threshold(self) -> float | None:
        """Return the threshold needed, with four digits, letting nothing more in; None if it finds next to nothing."""
        needed = self.separation.needed
        return ceil(needed.threshold * 1e4) / 1e4 if needed.recall >= USEFUL else None


@dataclass(frozen=True)
class Diagnosis:
    """Spaces, the best first, over the same `images` of the classes `sizes`; `sources` are whose labels they are.

    share       of the images of the store that `images` are
    k           neighbours that were asked for their class
    precision   what the thresholds are to reach, from one exemplar a class
    recommended the best, or, where the difference between some is within its uncertainty, one of those
    difference  in k-NN agreement between the two best; None with one space
    """

    sources: tuple[str, ...]
    images: int
    share: float
    sizes: dict[str, int]
    k: int
    precision: float
    spaces: Sequence[Measured]
    recommended: str
    difference: Difference | None
    warnings: Sequence[str]

    @property
    def chosen(self) -> Measured:
        return next(one for one in self.spaces if one.space == self.recommended)

    def words(self) -> list[str]:
        """Return the findings as sentences: which space, how sure that is, what a threshold means, what to type."""
        doubt = [] if self.difference is None else [_doubt(self, self.difference)]
        closed = [f"Space {self.recommended} was brought: it takes no new pictures."] if self.chosen.brought else []
        return [_best(self), *doubt, *closed, _threshold(self), _next(self)]


def _best(found: Diagnosis) -> str:
    shares = [percent(one.separation.knn_agreement) for one in found.spaces[:2]]
    if found.k > 1:
        text = f"In space {found.spaces[0].space}, {shares[0]} of the {found.k} nearest images of a labelled one have"
    else:
        text = f"In space {found.spaces[0].space}, {shares[0]} of the images nearest to a labelled one have"
    text += " its label"
    return text + (f"; in {found.spaces[1].space}, the next best, {shares[1]}." if len(shares) > 1 else ".")


def _doubt(found: Diagnosis, gap: Difference) -> str:
    interval = (
        f"{100 * gap.mean:.1f} points (95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f}, bootstrap over "
        f"{gap.units} {gap.over})"
    )
    if gap.certain:
        return f"The difference of {interval} is larger than its uncertainty: use {found.recommended}."
    return f"The difference of {interval} is within its uncertainty: either will do; {found.recommended} is suggested."


def _threshold(found: Diagnosis) -> str:
    one = found.chosen
    asked = f"a precision of {found.precision:g} on these images"
    if one.threshold is None:
        return f"From one exemplar a class, no threshold in {one.space} reaches {asked} and finds even 1 % of them."
    same, other = (
        percent(float(np.mean(scores >= one.threshold))) if len(scores) else "none"
        for scores in (one.separation.same, one.separation.other)
    )
    return (
        f"From one exemplar a class, {asked} takes a threshold of {one.threshold} in {one.space} and finds "
        f"{percent(one.separation.needed.recall)} of them; as close as that are {same} of the pairs of one class, "
        f"{other} of the pairs of two, and {percent(one.fpr)} of random pairs of the collection."
    )


def _next(found: Diagnosis) -> str:
    space, threshold = quote(found.recommended), found.chosen.threshold
    if threshold is None:
        return f"Next: more exemplars, fewer classes that are alike, or a rate: engine label --space {space} --fpr 1e-4"
    if found.share < MOSTLY and found.chosen.fpr > RATE:
        return (
            f"Next: engine label --space {space} --fpr {RATE:g} (only {percent(found.share)} of the images are "
            f"labelled; at {threshold} others of the collection would come in)"
        )
    more = " (more exemplars a class find more)" if found.chosen.separation.needed.recall < 0.5 else ""
    return f"Next: engine label --space {space} --threshold {threshold}{more}"


def percent(share: float) -> str:
    """Return a share in percent, with two digits that count."""
    return f"{100 * share:.1f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"
