"""The tables of one measurement as data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kdsspark.stages.summarize.summary import Summarized
from kdsspark.tables import TABLES


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Data frames with the columns of the tables of these names (docs/tables.md).

    Those with ``class_id`` have a column ``class`` beside it: the label as the caller gave it. A
    frame has no rows if the table was not asked for. ``ks`` has the columns of ``significance``,
    too, NaN for shuffled labels.
    """

    classes: list[Any]
    """The labels of the classes, in the order of ``class_id``."""

    ks: pd.DataFrame
    thresholds: pd.DataFrame
    layers: pd.DataFrame
    significance: pd.DataFrame
    davg: pd.DataFrame
    distribution: pd.DataFrame
    survival: pd.DataFrame
    ranges: pd.DataFrame
    histograms: pd.DataFrame
    distances: pd.DataFrame

    @staticmethod
    def of(tables: Iterable[Summarized], classes: Sequence[Any]) -> Result:
        """The result that holds these tables."""
        found: dict[str, list[pa.Table]] = {}
        for table, labels, rows in tables:
            for value in labels:
                rows = rows.append_column("labels", pa.repeat(value, len(rows)))
            found.setdefault(table.name, []).append(rows)
        names = [field.name for field in fields(Result) if field.name in TABLES]
        frames = {name: _frame(name, found.get(name, []), classes) for name in names}
        for column, values in frames["significance"].items():
            if column not in frames["ks"]:
                frames["ks"][column] = values  # true labels come first, in the same order
        return Result(list(classes), **frames)

    def __repr__(self) -> str:
        row = self.thresholds.iloc[0]
        return (
            f"<kdsspark.Result: {len(self.ranges)} units, {row.n_classes} classes, "
            f"{row.n_images} images, t_plus {row.t_plus}, t_minus {row.t_minus}>"
        )


def _frame(name: str, tables: Sequence[pa.Table], classes: Sequence[Any]) -> pd.DataFrame:
    rows = pa.concat_tables(tables) if tables else TABLES[name].schema.empty_table()
    frame: pd.DataFrame = rows.to_pandas()
    if "class_id" in frame:
        kind = object if isinstance(classes[0], str) else None
        ids = frame["class_id"]
        labels = pd.Series(np.array(classes, kind)[ids])
        if (ids < 0).any():  # of all images, where classes overlap
            labels = labels.astype(object).where(ids >= 0, None)
        frame.insert(list(frame.columns).index("class_id") + 1, "class", labels)
    return frame
