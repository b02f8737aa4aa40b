"""Which index for how many rows and how much memory, worked out by hand."""

from __future__ import annotations

import pytest

from indexers.choose import choose, lists_for
from indexers.ivf import IVFParams
from indexers.pq import PQParams

FLAT = ("flat", None)


@pytest.mark.parametrize(("n", "dim"), [(0, 512), (50_000, 512), (100_000, 256), (20, 1280)])
def test_few_rows_are_compared(n, dim):
    assert choose(n, dim) == [FLAT]


FULL, SMALL, CODES = ("ivf", IVFParams(2048, "fp32")), ("ivf", IVFParams(2048, "sq8")), ("pq", PQParams(4))


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [
        (None, [CODES, FULL, FLAT]),
        # A million rows of 512: 4 · 512 + 8, 512 + 8 and 512 / 8 bytes each.
        (2_056_000_000, [CODES, FULL, FLAT]),
        (2_055_999_999, [CODES, SMALL, FLAT]),
        (519_999_999, [CODES, FLAT]),
        (63_999_999, [FLAT]),
        (0, [FLAT]),
    ],
)
def test_many_rows_get_codes_and_the_finest_lists_that_fit(memory, chosen):
    assert choose(1_000_000, 512, memory=memory) == chosen


@pytest.mark.parametrize(
    # 2·√100,000 = 632, between 512 and 1,024 nearer to 512; 300 rows train 7 lists, of which 4 is a power of two.
    ("n", "lists"),
    [(1_000_000, 2048), (100_000, 512), (10_000_000, 8192), (300, 4), (39, 1), (1, 1), (0, 1)],
)
def test_lists_are_about_twice_the_root_and_can_be_trained(n, lists):
    assert lists_for(n) == lists
