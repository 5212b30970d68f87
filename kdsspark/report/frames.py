"""Small reshapings of the report's frames."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def signs_beside(rows: pd.DataFrame, index: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """One row per ``index`` with the values of both signs: v_plus and v_minus, NaN where absent."""
    indexed = rows.set_index(list(index))
    found = {
        f"{value}_{name}": indexed.loc[indexed["sign"] == sign, value].astype(float)
        for value in values
        for sign, name in (("+", "plus"), ("-", "minus"))
    }
    return pd.DataFrame(found).reset_index(names=list(index))
