"""The summaries of a slice come back as they were written, whatever the order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from kdsspark.output.output import Output
from kdsspark.stages.measure import summaries
from kdsspark.stats.summaries.counts import Summary
from kdsspark.stats.summaries.thresholds import Tally
from tests.stages.embedded import PAIR


def summary(seed: int, classes: int) -> Summary:
    rng = np.random.default_rng(seed)
    plus, minus = rng.integers(0, 2**40, (2, 1001))
    survival, distribution = rng.integers(0, 99, (classes, 2, 101)), rng.integers(0, 99, 200)
    return Summary(Tally(plus, minus, 2**33 + seed, seed / 7), survival, distribution)


@pytest.mark.parametrize("classes", [1, 3])
def test_what_is_read_is_what_was_written(tmp_path: Path, classes: int) -> None:
    output = Output.at(str(tmp_path))
    given = {shuffle: summary(shuffle, classes) for shuffle in (2, 0, 11, 1)}
    summaries.write(output, PAIR, "layer-000-units-00000-00007", given)
    found = list(summaries.read(output, PAIR, "layer-000-units-00000-00007"))
    assert [shuffle for shuffle, _ in found] == [0, 1, 2, 11]
    for shuffle, one in found:
        expected = given[shuffle]
        assert one.tally.n_pairs == expected.tally.n_pairs
        assert one.tally.reach == expected.tally.reach
        for got, wanted in (
            (one.tally.plus, expected.tally.plus),
            (one.tally.minus, expected.tally.minus),
            (one.survival, expected.survival),
            (one.distribution, expected.distribution),
        ):
            np.testing.assert_array_equal(got, wanted)
            assert got.dtype == np.int64
    # One labeling at a time: a hundred of a thousand classes are not read at once.
    (path,) = output.files("_summaries")
    assert pq.read_metadata(output.path(path)).num_row_groups == 4
