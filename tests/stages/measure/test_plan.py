"""How datasets are cut: every feature once, within memory, the same on every cluster."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsspark.config import Measure
from kdsspark.errors import ConfigError
from kdsspark.stages.measure import plan as measure_plan
from kdsspark.stages.measure.plan import Shape, Way, cut, layout_of, row_ranges, slices_of

VGG16 = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 4096, 4096]
GIB = 1 << 30


def shape(n_images: int, n_classes: int = 100, **settings: object) -> Shape:
    measure = Measure.model_validate(settings)
    layout = layout_of(VGG16, ["float32"] * len(VGG16), measure)
    return Shape(n_images, n_classes, layout, measure)


def bytes_held(s: Shape, units: int) -> int:
    """What a task of that many units cannot do without, counted apart from the planner."""
    values = 4 if s.settings.exact else 0
    labels = 4 * measure_plan.labelings_at_once(s)
    block = 4 * measure_plan.units_of_a_block(s) * s.n_classes * s.settings.bins
    return s.n_images * (units * (1 + values) + 20 + labels) + block


@given(width=st.integers(1, 5000), most=st.integers(1, 5000))
def test_slices_cover_a_layer_once(width: int, most: int) -> None:
    cuts = slices_of(width, most)
    assert [cuts[0][0], cuts[-1][1]] == [0, width]
    assert all(a[1] == b[0] for a, b in pairwise(cuts))
    sizes = [stop - start for start, stop in cuts]
    assert 0 < min(sizes) <= max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("shuffles", [1, 10, 100])
@pytest.mark.parametrize("n_classes", [2, 100, 1000])
@pytest.mark.parametrize("n_images", [20, 5_000, 20_000, 200_000, 1_300_000, 5_000_000])
def test_tasks_stay_within_the_budget(
    n_images: int, n_classes: int, shuffles: int, exact: bool
) -> None:
    s = shape(n_images, n_classes, shuffles=shuffles, exact=exact)
    found = cut(s)
    assert found.way is not Way.ROWS
    for depth, slices in enumerate(found.slices):
        assert slices[-1][1] == VGG16[depth]
        widest = max(stop - start for start, stop in slices)
        assert bytes_held(s, widest) <= GIB


def test_imagenet_is_read_at_most_twice() -> None:
    found = cut(shape(1_300_000, 1000))
    assert found.way is Way.COLUMNS  # embeddings once, then each slice its own units
    small = cut(shape(20_000))
    assert small.way is Way.WHOLE
    assert all(len(slices) <= 2 for slices in small.slices)


def test_work_is_cut_finely_enough_for_many_cores() -> None:
    s = shape(200_000)
    units = [stop - start for slices in cut(s).slices for start, stop in slices]
    assert max(units) <= sum(VGG16) / 16


def test_rows_are_split_where_not_one_unit_fits() -> None:
    s = shape(200_000_000, exact=False)
    assert cut(s).way is Way.ROWS
    with pytest.raises(ConfigError, match=r"measure\.exact: must be false for 200000000 images"):
        cut(shape(200_000_000))


@given(
    rows=st.lists(st.integers(1, 3000), min_size=1, max_size=30),
    memory=st.sampled_from(["1MiB", "64MiB", "1GiB"]),
)
def test_row_ranges_cover_every_row_once(rows: list[int], memory: str) -> None:
    parts = {f"part-{i}": n for i, n in enumerate(rows)}
    s = shape(sum(rows), memory=memory, exact=False)
    found = row_ranges(s, parts)
    seen = [
        (piece.part, row)
        for pieces in found
        for piece in pieces
        for row in range(piece.start, piece.stop)
    ]
    assert seen == [(part, row) for part, n in parts.items() for row in range(n)]
    sizes = [sum(piece.stop - piece.start for piece in pieces) for pieces in found]
    assert max(sizes) <= max(1, s.settings.memory_bytes // 2 // s.layout.bytes_of_an_image)
    assert len(found) >= min(len(seen) // 256, 32)
