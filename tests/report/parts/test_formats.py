"""Numbers as the pages print them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.parts import formats


@pytest.mark.parametrize(
    ("value", "digits", "plain", "with_sign"),
    [
        (12416, 0, "12,416", "+12,416"),
        (-0.1206, 3, "\u22120.121", "\u22120.121"),
        (0.0, 1, "0.0", "+0.0"),
        (None, 2, "\u2013", "\u2013"),
    ],
)
def test_numbers(value: float | None, digits: int, plain: str, with_sign: str) -> None:
    assert formats.number(value, digits) == plain
    assert formats.signed(value, digits) == with_sign


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.185, None, 0.072], "0.072 to 0.185"),
        ([0.0721, 0.0719], "0.072"),
        ([None], ""),
        ([], ""),
    ],
)
def test_spans(values: list[float | None], text: str) -> None:
    assert formats.span(values, 3) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.25, "4.2 s"),
        (59.96, "60 s"),
        (60, "1 min 0 s"),
        (192, "3 min 12 s"),
        (18420, "5 h 7 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_rows_have_none_for_null() -> None:
    frame = pd.DataFrame({"x": [1.5, np.nan], "name": ["a", None]})
    assert list(formats.rows(frame)) == [{"x": 1.5, "name": "a"}, {"x": None, "name": None}]
