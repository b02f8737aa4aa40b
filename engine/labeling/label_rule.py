"""What `engine label` is asked for: which labeler, where its threshold lies, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from math import inf
from typing import Any

import numpy as np

from engine.errors import BadInput
from engine.ingestion.class_names import checked_name
from engine.labeling.spelling import folded
from indexers.background import Background
from labelers import LABELERS, Exemplars, Labels
from labelers.base import Rows

# The graph of `propagate` has a fixed number of neighbours; only voting counts them.
WITH_K = ("vote",)
# Their score is a share and no cosine: no random pair has one.
SHARES = ("propagate",)
# Both ends in order: what a score can be.
RANGES = {name: (0.0, 1.0) if name in SHARES else (-1.0, 1.0) for name in LABELERS}


@dataclass(frozen=True)
class Cut:
    """A threshold, and the share of random pairs of the space that reach it; None for a score that is no cosine."""

    threshold: float
    fpr: float | None


@dataclass(frozen=True)
class Rule:
    """How labels are made. Each of `thresholds` or of `fprs` makes a run; `margin` and `k` are the labeler's.

    `none_label` is the class of whatever is of no other; `balance` draws it, by `seed`, to that many times the others.
    """

    labeler: str = "nearest"
    thresholds: Sequence[float] = ()
    fprs: Sequence[float] = ()
    margin: float = 0.0
    k: int | None = None
    none_label: str | None = None
    balance: float | None = None
    seed: int = 0

    @property
    def rest_name(self) -> str | None:
        return None if self.none_label is None else self.none_label.strip()

    def check(self) -> None:
        """Raise `BadInput` for what makes no sense, whatever the store holds."""
        if self.labeler not in LABELERS:
            raise BadInput(f"--labeler {self.labeler} is not known", f"one of: {', '.join(LABELERS)}")
        self._check_cuts()
        if not 0 <= self.margin < inf:
            raise BadInput(f"the margin is {self.margin}", "a margin is at least 0: --margin 0.05")
        if self.k is not None and self.labeler not in WITH_K:
            raise BadInput(f"-k {self.k} means nothing to {self.labeler}", "leave it out, or give --labeler vote")
        if self.k is not None and self.k < 1:
            raise BadInput(f"k is {self.k}", "at least one exemplar votes: -k 5")
        if self.none_label is not None:
            checked_name(self.none_label, what="the class of the rest", remedy="name it: --none-label etc")
        if self.balance is not None and self.none_label is None:
            raise BadInput(f"--balance {self.balance:g} draws a class that is not written", "name it: --none-label etc")
        if self.balance is not None and not 0 < self.balance < inf:
            raise BadInput(f"--balance is {self.balance}", "give a positive ratio: --balance 2")
        if self.seed < 0:
            raise BadInput(f"--seed {self.seed}", "give 0 or a positive number")

    def _check_cuts(self) -> None:
        if self.thresholds and self.fprs:
            raise BadInput(
                f"--threshold {_listed(self.thresholds)} and --fpr {_listed(self.fprs)} are two thresholds",
                "leave one of the two out",
            )
        if not self.thresholds and not self.fprs:
            raise BadInput("nothing says how close is close enough", "give --threshold 0.75 or --fpr 1e-4")
        low, high = RANGES[self.labeler]
        for one in self.thresholds:
            if not low <= one <= high:
                kind = "a share" if self.labeler in SHARES else "a cosine"
                raise BadInput(f"the threshold is {one}", f"{kind} lies between {low:g} and {high:g}")
        if self.fprs and self.labeler in SHARES:
            raise BadInput(
                f"--fpr {_listed(self.fprs)}: the score of {self.labeler} is no cosine", "give --threshold 0.5"
            )
        for one in self.fprs:
            if not 0 < one <= 1:
                raise BadInput(f"--fpr is {one}", "a rate lies above 0 and is at most 1: --fpr 1e-4")
        if len({*self.thresholds, *self.fprs}) < len([*self.thresholds, *self.fprs]):
            raise BadInput(f"{_listed(self.thresholds or self.fprs)} names one twice", "give each once")

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise `BadInput` if the class of the rest is one of the others."""
        for name in classes:
            if self.rest_name is not None and folded(name) == folded(self.rest_name):
                raise BadInput(f"--none-label {self.none_label} is the class {name!r}", "give the rest another name")

    def cuts(self, background: Background | None) -> list[Cut]:
        """Return the thresholds in a space with this background; raise `BadInput` for a rate that it cannot resolve."""
        if background is None:
            return [Cut(one, None) for one in self.thresholds]
        if not self.fprs:
            return [Cut(one, float(background.fpr(np.array([one]))[0])) for one in self.thresholds]
        try:
            return [Cut(background.threshold(one), one) for one in self.fprs]
        except ValueError as error:
            raise BadInput(f"--fpr: {error}", "ask for a larger rate, or for a cosine: --threshold 0.9") from None

    def scored(self, X: Rows, exemplars: Exemplars, *, threshold: float, graph: Any = None) -> Labels:
        """Return the labels of unit rows `X`, scores exact from `threshold` up; `graph` is for labelers that spread."""
        module, _, function = LABELERS[self.labeler].partition(":")
        more: dict[str, Any] = {"k": self.k} if self.k is not None else {}
        more |= {"graph": graph} if graph is not None else {}
        try:
            found: Labels = getattr(import_module(module), function)(
                X, exemplars, threshold=threshold, margin=self.margin, **more
            )
        except ValueError as error:
            raise BadInput(f"{self.labeler}: {error}", "give other exemplars") from error
        return found


def _listed(values: Sequence[float]) -> str:
    return ",".join(f"{one:g}" for one in values)
