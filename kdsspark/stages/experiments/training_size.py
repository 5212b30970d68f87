"""``training-size``: accuracy by the number of images to train with, by layer (driver, executor).

Zeiler & Fergus 2013, tables 4, 5 and 7, figure 9: m images of each class to train with, the others
to test, at most 50 of a class; the mean of the accuracies of the classes over random folds. It is
``probe`` on all features of a layer with these settings, so classifiers and splits are the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kdsspark.config import Config, Probe
from kdsspark.engine.items import Outcome
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.pairs import PairPlan
from kdsspark.stages.probe import trial
from kdsspark.stages.probe.layer_task import ProbeItem
from kdsspark.stages.probe.stage import BYTES_OF_A_VALUE
from kdsspark.stages.probe.vectors import VectorSource
from kdsspark.tables import IMAGES, TRAINING_SIZE

STAGE: Final = next(one for one in EXPERIMENTS if TRAINING_SIZE in one.tables)
_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again


@dataclass(frozen=True, kw_only=True)
class TrainingSizeItem(ProbeItem):
    """One layer of a pair with one classifier; ``settings`` but for the images to train with."""

    sizes: tuple[int, ...]


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded."""
    pairs.run(context, STAGE, plan, training_size_of_layer, lambda item: item.n_features)


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source, wanted = pairs.embedded(output, pair), config.experiments
    classes = parquet.read(output, IMAGES, pair.dataset, columns=["class_id"])["class_id"]
    largest = int(np.bincount(classes.to_numpy()).max())
    sizes = tuple(m for m in sorted(set(wanted.train_per_class)) if m < largest)
    items = []
    for kind in wanted.classifiers if sizes else ():
        changed = {"classifier": kind, "folds": wanted.folds, "max_test": wanted.max_test}
        settings = config.probe.model_copy(update=changed)
        for depth, (layer, width) in enumerate(source.widths.items()):
            streams = source.n_images * width * BYTES_OF_A_VALUE > config.measure.memory_bytes
            said = [_FORMAT, source.digest, settings.model_dump(), sizes, streams]
            items.append(
                TrainingSizeItem(
                    name=pair.item(f"{kind}-{depth:04d}"),
                    digest=fingerprint(said),
                    output=output,
                    pair=pair,
                    layer=layer,
                    features="all",
                    layers=((layer, width),),
                    parts=source.parts,
                    settings=settings,
                    streams=streams,
                    sizes=sizes,
                )
            )
    return PairPlan.of(STAGE, items)


def training_size_of_layer(item: TrainingSizeItem) -> Outcome:
    """Write the rows of one layer and classifier (executor)."""
    start = time.perf_counter()
    source = item.source()
    read = time.perf_counter()
    rows, converged = [], True
    for size in item.sizes:
        settings = item.settings.model_copy(update={"train_per_class": size})
        row, ok = _row(source, settings)
        rows.append({"layer": item.layer, "train_per_class": size} | row)
        converged &= ok
    path = TRAINING_SIZE.part(item.name.part, *item.pair)
    parquet.write_rows(item.output, path, rows, TRAINING_SIZE)
    counts = {"trials": len(rows), "converged": int(converged)}
    return Outcome(counts, {"read": read - start, "fit and test": time.perf_counter() - read})


def _row(source: VectorSource, settings: Probe) -> tuple[dict[str, Any], bool]:
    """One trial, and whether the solver converged in all folds."""
    found = trial.run(source, settings)
    means = found.means_of_classes()
    deviation = means.std(ddof=1) if len(means) > 1 else np.nan
    row = {"classifier": settings.classifier} | found.columns(means)
    return row | trial.with_nulls(deviation=deviation, c=found.c), found.converged
