from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from kdsspark.stats.ranges import Ranges

LIMITS = st.sampled_from([0.0, 1.5, -2.0, np.nan, 1e30])
NUMBERS = st.integers(0, 2**40)


def ranges_of(units: int) -> st.SearchStrategy[Ranges]:
    fields = [st.lists(values, min_size=units, max_size=units) for values in (LIMITS, NUMBERS)]
    dtypes: list[Any] = [np.float64, np.float64, np.int64, np.int64]
    return st.tuples(fields[0], fields[0], fields[1], fields[1]).map(
        lambda found: Ranges(*(np.array(f, d) for f, d in zip(found, dtypes, strict=True)))
    )


def bits(ranges: Ranges) -> list[bytes]:
    return [a.tobytes() for a in (ranges.lo, ranges.hi, ranges.n, ranges.n_nonfinite)]


@given(ranges_of(2), ranges_of(2), ranges_of(2))
def test_neither_order_nor_grouping_matters(a: Ranges, b: Ranges, c: Ranges) -> None:
    assert bits(a.merge(b)) == bits(b.merge(a))
    assert bits(a.merge(b).merge(c)) == bits(a.merge(b.merge(c)))
    assert bits(Ranges.zero(2).merge(a)) == bits(a.merge(Ranges.zero(2))) == bits(a)


def test_merged_limits_are_the_outer_ones_and_numbers_the_sums() -> None:
    a = Ranges(*(np.array([v]) for v in (1.0, 2.0)), *(np.array([n]) for n in (3, 1)))
    b = Ranges(*(np.array([v]) for v in (-1.0, 1.5)), *(np.array([n]) for n in (4, 0)))
    both = a.merge(b)
    assert (both.lo[0], both.hi[0], both.n[0], both.n_nonfinite[0]) == (-1.0, 2.0, 7, 1)
