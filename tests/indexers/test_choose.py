"""Which index for how many rows and how much memory, worked out by hand."""

from __future__ import annotations

import pytest

from indexers.choose import FINE, choose, lists_for
from indexers.ivfpq import IVFPQParams
from indexers.pq import PQParams

FLAT = ("flat", None)


@pytest.mark.parametrize(("n", "dim"), [(0, 512), (50_000, 512), (100_000, 256), (20, 1280)])
def test_few_rows_are_compared(n, dim):
    assert choose(n, dim) == [FLAT]


LISTS, CODES = ("ivfpq", IVFPQParams(16384)), ("pq", PQParams(4))


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [
        (None, [CODES, LISTS, FLAT]),
        # A million rows of 512: codes of 64 bytes; beside them 8 bytes a row, and 16,384 centres of 4 · 512 + 512.
        (113_943_040, [CODES, LISTS, FLAT]),
        (113_943_039, [CODES, FLAT]),
        (64_000_000, [CODES, FLAT]),
        (63_999_999, [FLAT]),
        (0, [FLAT]),
    ],
)
def test_many_rows_get_codes_and_lists_of_them_that_fit(memory, chosen):
    assert choose(1_000_000, 512, memory=memory) == chosen


@pytest.mark.parametrize(
    # 2·√100,000 = 632, between 512 and 1,024 nearer to 512; 300 rows train 7 lists, of which 4 is a power of two.
    ("n", "lists"),
    [(1_000_000, 2048), (100_000, 512), (10_000_000, 8192), (300, 4), (39, 1), (1, 1), (0, 1)],
)
def test_lists_are_about_twice_the_root_and_can_be_trained(n, lists):
    assert lists_for(n) == lists


@pytest.mark.parametrize(
    # 100,000 rows train 2,564 lists, 59,500 rows 1,525; there are never more than 32,768.
    ("n", "lists"),
    [(100_000_000, 32768), (1_000_000, 16384), (100_000, 2048), (59_500, 1024), (1, 1)],
)
def test_lists_of_codes_are_many_more(n, lists):
    assert lists_for(n, FINE) == lists
