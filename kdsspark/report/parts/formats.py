"""How the pages print numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd


def number(value: float | None, digits: int = 0) -> str:
    """``12,416``, ``-0.121`` with a minus sign, an en dash for None."""
    return "\u2013" if value is None else f"{value:,.{digits}f}".replace("-", "\u2212")


def signed(value: float | None, digits: int = 0) -> str:
    """The same, with a plus sign where the value is not negative."""
    return "\u2013" if value is None else f"{value:+,.{digits}f}".replace("-", "\u2212")


def span(values: Sequence[float | None], digits: int = 0) -> str:
    """``0.072 to 0.185``; one number where both ends print alike; empty without values."""
    known = sorted(value for value in values if value is not None)
    ends = dict.fromkeys(number(value, digits) for value in (known[:1] + known[-1:]))
    return " to ".join(ends)


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 12 s`` or ``5 h 7 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def rows(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as plain values, with None for null."""
    columns = [str(column) for column in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        yield {c: None if pd.isna(v) else v for c, v in zip(columns, values, strict=True)}
