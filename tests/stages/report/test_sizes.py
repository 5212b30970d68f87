"""How much the pages show."""

from __future__ import annotations

import pytest

from kdsspark.stages.report.sizes import of_site


@pytest.mark.parametrize(
    ("n_classes", "asked", "units", "sample"),
    [
        (1, None, 12, 88),
        (100, None, 12, 88),
        (101, None, 8, 88),
        (200, None, 8, 88),
        (201, None, 6, 72),
        (400, None, 6, 72),
        (401, None, 3, 56),
        (5000, 40, 40, 56),
        (2, 1, 1, 88),
    ],
)
def test_many_classes_show_less(n_classes: int, asked: int | None, units: int, sample: int) -> None:
    """What the configuration asks for changes no picture."""
    size = of_site(n_classes, asked)
    assert (size.units, size.sample) == (units, sample)
    assert size.tile < size.patch < size.sample
