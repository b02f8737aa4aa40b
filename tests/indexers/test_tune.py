"""The least effort that reaches a recall: on an index whose recall is known, and on a real one."""

from __future__ import annotations

import numpy as np
import pytest

from indexers import Neighbors
from indexers.exact import ExactIndex
from indexers.ivf import IVFIndex, IVFParams
from indexers.metrics import recall
from indexers.tune import Tuned, tune
from tests.indexers.vectors import clustered

QUERY = np.ones((1, 1), np.float32)
TRUTH = [Neighbors(np.arange(10), np.linspace(1, 0.1, 10))]


class Stairs:
    """Finds `effort` of ten rows, but at most `top`."""

    def __init__(self, top: int = 10, ladder: tuple[int, ...] = (1, 2, 4, 6, 8, 9, 10)) -> None:
        self.top, self.ladder, self.asked = top, ladder, []

    def efforts(self) -> tuple[int, ...]:
        return self.ladder

    def search(self, Q, k, *, keep=None, effort=None):
        self.asked.append(effort)
        n = min(self.top if effort is None else effort, self.top)
        return [Neighbors(np.arange(n), TRUTH[0].scores[:n])]


@pytest.mark.parametrize(
    ("target", "effort", "reached"),
    [(0, 1, 0.1), (0.1, 1, 0.1), (0.5, 6, 0.6), (0.6, 6, 0.6), (0.95, 10, 1), (1, 10, 1)],
)
def test_the_least_effort_that_reaches_the_target(target, effort, reached):
    assert tune(Stairs(), QUERY, TRUTH, target=target, k=10) == Tuned(10, effort, reached, True)


def test_a_target_out_of_reach_gives_the_least_effort_with_the_best():
    assert tune(Stairs(top=7), QUERY, TRUTH, target=0.9, k=10) == Tuned(10, 8, 0.7, False)


def test_the_ladder_is_halved():
    index = Stairs(ladder=tuple(range(1, 1000)))
    tune(index, QUERY, TRUTH, target=0.3, k=10)
    assert len(index.asked) <= 11


def test_an_index_without_efforts_is_measured():
    assert tune(Stairs(top=9, ladder=()), QUERY, TRUTH, target=0.5, k=10) == Tuned(10, None, 0.9, True)
    assert tune(Stairs(top=3, ladder=()), QUERY, TRUTH, target=0.5, k=10) == Tuned(10, None, 0.3, False)


def test_a_real_index_keeps_what_was_measured():
    X, Q = clustered(3000, 16)
    truth = ExactIndex(X).search(Q, 10)
    index = IVFIndex(IVFParams(32))
    index.add(X)
    tuned = tune(index, Q, truth, target=0.95, k=10)
    assert tuned.reached
    assert recall(index.search(Q, 10, effort=tuned.effort), truth, 10) == tuned.recall >= 0.95
    less = [effort for effort in index.efforts() if effort < tuned.effort]
    assert all(recall(index.search(Q, 10, effort=effort), truth, 10) < 0.95 for effort in less)


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_a_target_that_is_no_recall_is_refused(target):
    with pytest.raises(ValueError, match="target"):
        tune(Stairs(), QUERY, TRUTH, target=target, k=10)
