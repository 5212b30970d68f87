"""Files of columns: what is written can be read unit by unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.output.output import Output
from kdsspark.stages.measure import columns
from kdsspark.stages.measure.columns import ColumnsLayout

IMAGES = 7
LAYOUT = ColumnsLayout(widths=(3, 5, 2), code="uint8", values=("float32", None, "float64"))
CODES_ONLY = ColumnsLayout(widths=(3, 5, 2), code="uint16", values=(None, None, None))


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Output:
    return Output.at(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


@pytest.mark.parametrize("layout", [LAYOUT, CODES_ONLY])
def test_every_range_of_units_is_read_back(store: Output, layout: ColumnsLayout) -> None:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**63, (IMAGES, 2)).astype(np.uint64)
    labels = rng.integers(0, 4, IMAGES).astype(np.int32)
    blocks = [
        (
            rng.integers(0, 100, (width, IMAGES)).astype(layout.code),
            rng.random((width, IMAGES)).astype(value) if value else None,
        )
        for width, value in zip(layout.widths, layout.values, strict=True)
    ]
    columns.write(store, "some/rows.bin", keys, labels, blocks)
    assert store.fs.size(store.path("some/rows.bin")) == layout.bytes_of_an_image * IMAGES
    found = columns.read_ids(store, "some/rows.bin", IMAGES)
    assert (found[0] == keys).all()
    assert (found[1] == labels).all()
    for depth, (codes, values) in enumerate(blocks):
        for start in range(len(codes)):
            for stop in range(start + 1, len(codes) + 1):
                # Into the middle of a larger array, as a slice is gathered from several files.
                wide = [
                    None if a is None else np.zeros((stop - start, IMAGES + 4), a.dtype)
                    for a in (codes, values)
                ]
                into = [None if a is None else a[:, 2:-2] for a in wide]
                columns.read_units(
                    store, "some/rows.bin", IMAGES, layout, depth, (start, stop), into
                )
                for got, expected in zip(into, (codes, values), strict=True):
                    if got is not None and expected is not None:
                        assert (got == expected[start:stop]).all()
                assert all(a is None or (a[:, :2] == 0).all() for a in wide)
