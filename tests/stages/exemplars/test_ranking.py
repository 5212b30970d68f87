"""Rankings against a plain loop, over random cuts, orders, ties and copies."""

from __future__ import annotations

import functools
import io

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from kdsspark.stages.exemplars import ranking
from kdsspark.stages.exemplars.ranking import PLACE, Ranking

UNITS = 7


def plain(
    ids: list[str], contents: list[str | None], values: npt.NDArray[np.float32], top: int
) -> list[list[tuple[str, float]]]:
    """For each unit the best images: by value, then by id, byte-identical ones once."""
    found = []
    for unit in range(values.shape[1]):
        best: list[tuple[str, float]] = []
        seen = set()
        finite = np.flatnonzero(np.isfinite(values[:, unit]))
        for i in sorted(finite, key=lambda i: (-values[i, unit], ids[i])):
            key = contents[i] or ids[i]
            if key not in seen and len(best) < top:
                best.append((ids[i], float(values[i, unit])))
                seen.add(key)
        found.append(best)
    return found


def rows(found: Ranking) -> list[list[tuple[str, float]]]:
    return [
        [(found.ids[i], float(value)) for i, value in zip(images, values, strict=True) if i >= 0]
        for images, values in zip(found.image, found.activation, strict=True)
    ]


def from_file(one: Ranking, top: int) -> Ranking:
    """What a Parquet file gives back."""
    file = io.BytesIO()
    pq.write_table(ranking.to_table(one), file)
    return ranking.from_table(pq.read_table(file), top)


def places_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """A place that tells which image and unit it is of."""
    n, units = values.shape
    number = np.arange(n * units, dtype=np.int32).reshape(n, units, 1)
    return number + 1000 * np.arange(len(PLACE), dtype=np.int32)


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("top", [1, 9])
@pytest.mark.parametrize("seed", range(4))
def test_any_cut_in_any_order_gives_what_a_plain_loop_gives(n: int, top: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"{i:02d}" for i in rng.permutation(99)[:n]]
    content_of = rng.integers(0, max(1, n // 2), n)
    # Images of one content have the same values, as their features follow from their bytes.
    of_content = rng.integers(0, 4, (n, UNITS)).astype(np.float32)  # many ties
    of_content[rng.random(of_content.shape) < 0.1] = np.nan
    of_content[rng.random(of_content.shape) < 0.05] = np.inf
    values = of_content[content_of]
    contents = [None if c == 0 or seed == 0 else f"c{c}" for c in content_of]
    place = places_of(values)
    cuts = np.array_split(rng.permutation(n), rng.integers(1, n + 1))
    parts = [
        ranking.of_images([ids[i] for i in c], [contents[i] for i in c], values[c], place[c], top)
        for c in cuts
    ]
    merged = functools.reduce(Ranking.merge, parts)
    assert rows(merged) == plain(ids, contents, values, top)
    for unit in range(UNITS):
        for i, where in zip(merged.image[unit], merged.place[unit], strict=True):
            at = ids.index(merged.ids[i]) if i >= 0 else None
            assert where.tolist() == ([-1] * 7 if at is None else place[at, unit].tolist())
    again = from_file(merged, top)
    assert rows(again) == rows(merged)
    for one in (merged, again):
        assert (one.n, one.n_active.tolist()) == (n, (values > 0).sum(0).tolist())
    assert np.array_equal(again.place, merged.place)
    assert dict(zip(again.ids, again.contents, strict=True)) == dict(
        zip(merged.ids, merged.contents, strict=True)
    )


def test_no_image_is_the_neutral_one() -> None:
    none = ranking.of_none(2, 3)
    assert rows(none) == [[], []]
    values = np.array([[1, 2], [3, 0]], np.float32)
    some = ranking.of_images(["b", "a"], [None, "c"], values, places_of(values), 3)
    for merged in (
        none.merge(some),
        some.merge(none),
        from_file(none, 3).merge(some),
    ):
        assert rows(merged) == [[("a", 3), ("b", 1)], [("b", 2), ("a", 0)]]
