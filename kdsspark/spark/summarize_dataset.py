"""What an executor does with the distances of one dataset: count, fit, find the thresholds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.spark.significance import write_significance
from kdsspark.spark.units import Outcome
from kdsspark.stats import lognormal
from kdsspark.stats.lognormal import LogNormal
from kdsspark.stats.thresholds import (
    GRID,
    SURVIVAL_GRID,
    Curve,
    Tally,
    Thresholds,
    distribution,
    survival,
    tally,
    thresholds,
)
from kdsspark.storage import parquet
from kdsspark.storage.files import Store
from kdsspark.tables import (
    DAVG,
    DISTRIBUTION,
    DISTRIBUTION_BINS,
    KS,
    LAYERS,
    SURVIVAL,
    THRESHOLDS,
    Table,
)

_SIGNS: Final = ("+", "-")
_LABELS: Final = ("true", "shuffled")
_PART: Final = "part-0.parquet"


@dataclass(frozen=True)
class SummaryJob:
    """One dataset by one network, as it was measured."""

    store: Store
    network: str
    dataset: str
    slices: tuple[str, ...]  # names of the measured slices, sorted: layers in their order
    kinds: dict[str, str]  # layer -> conv, fc or other
    n_images: int  # embedded
    n_classes: int  # with at least one embedded image
    shuffles: int

    @property
    def layers(self) -> list[list[str]]:
        """The slices of each layer, in order."""
        grouped = groupby(self.slices, key=lambda name: name.rpartition("-units-")[0])
        return [list(slices) for _, slices in grouped]


@dataclass(frozen=True)
class _LayerSummary:
    """What one layer contributes for one kind of labels."""

    layer: str
    tallies: tuple[Tally, ...]  # one a shuffle; of the true labels, one
    fits: tuple[LogNormal, LogNormal]  # of ks > 0, of -ks > 0
    distribution: npt.NDArray[np.int64]  # [200]
    survival: npt.NDArray[np.int64]  # [classes * shuffles, signs, 101]

    @property
    def tally(self) -> Tally:
        """Of all shuffles together."""
        return reduce(Tally.merge, self.tallies)


def summarize_dataset(job: SummaryJob) -> Outcome:
    """Write the dataset's rows of every table that follows from ``ks``."""
    start = time.perf_counter()
    layers = {
        "true": [_summarize(*layer, 1) for layer in _layers(job, "true")],
        "shuffled": [_summarize(*layer, job.shuffles) for layer in _layers(job, "shuffled")],
    }
    (true,), shuffled = _totals(layers["true"]), _totals(layers["shuffled"])
    found = _thresholds(job, true, shuffled)
    _write(job, DAVG, _davg(found))
    for labels in _LABELS:
        first, n = (0, 1) if labels == "true" else (1, job.shuffles)
        _write(job, LAYERS, _layer_rows(layers[labels], found), labels)
        _write(job, DISTRIBUTION, _distribution_rows(job, layers[labels]), labels)
        _write(job, SURVIVAL, _survival_rows(layers[labels], first, n), labels)
    row = _threshold_row(job, found, [_thresholds(job, true, [one]) for one in shuffled])
    row |= write_significance(job.store, job.network, job.dataset, job.layers)
    path = f"{THRESHOLDS.partition(job.network)}/{job.dataset}.parquet"
    table = pa.Table.from_pylist([row], schema=THRESHOLDS.schema)
    parquet.write(job.store, path, table, THRESHOLDS.schema)
    return Outcome({"pairs": true.n_pairs}, {"summarize": time.perf_counter() - start})


def _thresholds(job: SummaryJob, true: Tally, shuffled: Sequence[Tally]) -> Thresholds:
    n_shuffled_classes = job.n_classes * len(shuffled)
    return thresholds(true, job.n_classes, reduce(Tally.merge, shuffled), n_shuffled_classes)


def _write(job: SummaryJob, table: Table, rows: pa.Table, *labels: str) -> None:
    folder = table.partition(job.network, job.dataset, *labels)
    parquet.write(job.store, f"{folder}/{_PART}", rows, table.schema)


# -- one layer at a time -------------------------------------------------------------------------


def _layers(job: SummaryJob, labels: str) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Layer, its distances [units, classes * shuffles]: NaN where undefined."""
    folder = KS.partition(job.network, job.dataset, labels)
    for slices in job.layers:
        parts = [
            parquet.read_file(job.store, f"{folder}/{name}.parquet", ["layer", "unit", "ks"])
            for name in slices
        ]
        rows = pa.concat_tables(parts)
        n_units = len(rows["unit"].unique())
        yield rows["layer"][0].as_py(), rows["ks"].to_numpy().reshape(n_units, -1)


def _summarize(layer: str, ks: npt.NDArray[np.float64], shuffles: int) -> _LayerSummary:
    fits = (lognormal.fit(ks[ks > 0]), lognormal.fit(-ks[ks < 0]))
    tallies = tuple(tally(ks[:, shuffle::shuffles]) for shuffle in range(shuffles))
    return _LayerSummary(layer, tallies, fits, distribution(ks), survival(ks))


def _totals(layers: Sequence[_LayerSummary]) -> list[Tally]:
    """Over all layers, shuffle by shuffle."""
    by_shuffle = zip(*(layer.tallies for layer in layers), strict=True)
    return [reduce(Tally.merge, tallies) for tallies in by_shuffle]


# -- tables --------------------------------------------------------------------------------------


def _threshold_row(
    job: SummaryJob, found: Thresholds, single: Sequence[Thresholds]
) -> dict[str, Any]:
    """``single`` are the thresholds that each shuffle alone would give."""
    row: dict[str, Any] = {
        "dataset": job.dataset,
        "n_images": job.n_images,
        "n_classes": job.n_classes,
        "images_per_class": job.n_images / job.n_classes,
    }
    for name in ("t_plus", "davg_plus", "t_minus", "davg_minus"):
        row[name] = getattr(found, name)
    for name in ("t_plus", "t_minus"):
        values = [getattr(one, name) for one in single]
        defined = len(values) > 1 and None not in values
        row[f"{name}_std"] = float(np.std(values, ddof=1)) if defined else None
    return row


def _davg(found: Thresholds) -> pa.Table:
    curves: list[Curve] = [found.plus, found.minus]
    columns: dict[str, Any] = {"x": np.tile(GRID, 2), "sign": np.repeat(_SIGNS, GRID.size)}
    for name in ("n_true", "n_shuffled", "davg"):
        columns[name] = np.concatenate([getattr(curve, name) for curve in curves])
    return pa.table(columns)


def _layer_rows(layers: Sequence[_LayerSummary], found: Thresholds) -> pa.Table:
    rows = []
    for layer in layers:
        beyond = (
            _beyond(layer.tally.plus, found.t_plus),
            _beyond(layer.tally.minus, None if found.t_minus is None else -found.t_minus),
        )
        for sign, fit, count in zip(_SIGNS, layer.fits, beyond, strict=True):
            defined = count is not None and layer.tally.n_pairs
            kept = count / layer.tally.n_pairs if defined else None
            rows.append({"layer": layer.layer, "sign": sign, **asdict(fit), "kept": kept})
    return pa.Table.from_pylist(rows, schema=LAYERS.schema)


def _beyond(counts: npt.NDArray[np.int64], threshold: float | None) -> Any:
    """Pairs beyond a threshold, which is a point of ``GRID``."""
    return None if threshold is None else int(counts[np.searchsorted(GRID, threshold)])


def _distribution_rows(job: SummaryJob, layers: Sequence[_LayerSummary]) -> pa.Table:
    edges = np.linspace(-1, 1, DISTRIBUTION_BINS + 1)
    n, names = len(layers), [layer.layer for layer in layers]
    return pa.table(
        {
            "kind": np.repeat([job.kinds[name] for name in names], DISTRIBUTION_BINS),
            "layer": np.repeat(names, DISTRIBUTION_BINS),
            "bin": np.tile(np.arange(DISTRIBUTION_BINS, dtype=np.int32), n),
            "lo": np.tile(edges[:-1], n),
            "hi": np.tile(edges[1:], n),
            "n": np.concatenate([layer.distribution for layer in layers]),
        }
    )


def _survival_rows(layers: Sequence[_LayerSummary], first: int, shuffles: int) -> pa.Table:
    """Rows by class, shuffle, sign and x; ``first`` is the number of the first shuffle."""
    counts = np.sum([layer.survival for layer in layers], axis=0)
    n_classes, steps = counts.shape[0] // shuffles, SURVIVAL_GRID.size
    class_id, shuffle, sign, step = np.indices((n_classes, shuffles, 2, steps)).reshape(4, -1)
    return pa.table(
        {
            "class_id": class_id.astype(np.int32),
            "shuffle": (shuffle + first).astype(np.int32),
            "sign": np.array(_SIGNS)[sign],
            "x": SURVIVAL_GRID[step],
            "n_features": counts.ravel(),
        }
    )
