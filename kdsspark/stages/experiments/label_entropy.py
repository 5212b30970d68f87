"""``label-entropy``: how selective every feature is, from the histograms alone.

Agrawal, Girshick & Malik 2014, figure 1 and appendix: the area under the curve of the entropy of
the labels above a value. They take every place of a filter's map as a value; ours are the features
as they were measured, pooled over space. No image is read, and no embedding.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from kdsspark.config import Config
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.errors import DatasetError
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.measure import stage as measure
from kdsspark.stages.pairs import PairPlan
from kdsspark.stats.entropy import area_under_entropy
from kdsspark.tables import HISTOGRAMS, LABEL_ENTROPY

STAGE: Final = next(one for one in EXPERIMENTS if LABEL_ENTROPY in one.tables)
_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again


@dataclass(frozen=True, kw_only=True)
class EntropyItem(WorkItem):
    """One slice of a layer, as ``measure`` has cut it."""

    output: Output
    pair: Pair


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair has no histograms."""
    pairs.run(context, STAGE, plan, entropy_of_slice, lambda item: item.size)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it has no histograms."""
    measured = measure.plan(output, config, pair)
    if not measured.finished(output) or not config.measure.histograms:
        raise DatasetError(
            f"dataset {pair.dataset}: must be measured by {pair.network} with histograms, run the "
            f"measure stage first, with measure.histograms true"
        )
    items = [
        EntropyItem(
            name=name, digest=fingerprint([_FORMAT, digest]), size=1, output=output, pair=pair
        )
        for name, digest in measured.digests.items()
    ]
    return PairPlan.of(STAGE, items)


def entropy_of_slice(item: EntropyItem) -> Outcome:
    """Write the rows of one slice (executor)."""
    start = time.perf_counter()
    groups = parquet.row_groups(item.output, HISTOGRAMS.part(item.name.part, *item.pair))
    path = LABEL_ENTROPY.part(item.name.part, *item.pair)
    n = parquet.write(item.output, path, map(_rows, groups), LABEL_ENTROPY.schema)
    return Outcome({"features": n}, {"compute": time.perf_counter() - start})


def _rows(histograms: pa.Table) -> pa.Table:
    """The rows of one row group, which has all classes of some units, units outermost."""
    n_classes = 1 + int(histograms["class_id"].to_numpy().max())
    counts = flat_values(histograms["counts"]).reshape(len(histograms) // n_classes, n_classes, -1)
    firsts = np.arange(0, len(histograms), n_classes)
    return pa.table(
        {
            "layer": histograms["layer"].take(firsts),
            "unit": histograms["unit"].take(firsts),
            "entropy": parquet.nullable(area_under_entropy(counts)),
        }
    )
