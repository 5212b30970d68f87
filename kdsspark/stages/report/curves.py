"""The histograms of the features that the report draws, read by executors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.fold import fold
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.tables import HISTOGRAMS

if TYPE_CHECKING:
    from kdsspark.engine.work import Session  # of the driver

Counts = npt.NDArray[np.int64]
Curves = dict[tuple[str, int, int], Counts]
"""(layer, unit, class_id) -> [bins]; the class_id -1 stands for all classes together."""

_FILES_OF_A_TASK: Final = 8  # a hundredth of a second each, or seconds for a thousand classes

ALL = -1
"""In ``histograms``, too, where an image may have several labels and classes do not add up."""

WantedCounts = Mapping[tuple[str, int], frozenset[int]]
"""(layer, unit) -> the classes whose counts are read, beside those of all classes together."""


def together(*wanted: Mapping[Pair, WantedCounts]) -> dict[Pair, WantedCounts]:
    """What any of ``wanted`` asks for."""
    every: dict[Pair, dict[tuple[str, int], frozenset[int]]] = {}
    for pair, counts in (item for one in wanted for item in one.items()):
        own = every.setdefault(pair, {})
        for unit, classes in counts.items():
            own[unit] = own.get(unit, frozenset()) | classes
    return dict(every)


def read(
    session: Session, output: Output, wanted: Mapping[Pair, WantedCounts]
) -> dict[Pair, Curves]:
    """The counts of each pair's wanted units (driver); without histograms, none."""
    files = {pair: output.files(HISTOGRAMS.partition(*pair)) for pair, own in wanted.items() if own}
    return fold(session, "curves", files, _Wanted(output, wanted), _both, _FILES_OF_A_TASK)


@dataclass(frozen=True)
class _Wanted:
    """Reads the counts that are wanted from a file (executor)."""

    output: Output
    wanted: Mapping[Pair, WantedCounts]

    def __call__(self, pair: Pair, path: str) -> Iterator[Curves]:
        classes = self.wanted[pair]
        units = sorted({unit for _, unit in classes})
        for rows in parquet.row_groups(self.output, path, ["layer", "unit", "class_id", "counts"]):
            rows = rows.filter(pc.is_in(rows["unit"], value_set=pa.array(units, pa.int32())))
            if not len(rows):
                continue
            counts = flat_values(rows["counts"]).reshape(len(rows), -1)
            yield _chosen(
                rows["layer"].to_pylist(),
                rows["unit"].to_pylist(),
                rows["class_id"].to_pylist(),
                counts,
                classes,
            )


def _chosen(
    layers: Sequence[str],
    units: Sequence[int],
    class_ids: Sequence[int],
    counts: npt.NDArray[np.int32],
    classes: WantedCounts,
) -> Curves:
    found: Curves = {}
    overlap = ALL in class_ids
    for layer, unit, class_id, row in zip(layers, units, class_ids, counts, strict=True):
        own = classes.get((layer, unit))
        if own is None:
            continue
        whole = (layer, unit, ALL)
        if not overlap or class_id == ALL:
            found[whole] = found[whole] + row if whole in found else row.astype(np.int64)
        if class_id in own:
            found[layer, unit, class_id] = row.astype(np.int64)
    return found


def _both(first: Curves, second: Curves) -> Curves:
    merged = dict(first)
    for key, counts in second.items():
        merged[key] = merged[key] + counts if key in merged else counts
    return merged
