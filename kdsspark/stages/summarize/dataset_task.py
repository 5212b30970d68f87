"""Summarize the distances of one dataset: add up counts, fit, find the thresholds (executor)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.work import Outcome, WorkItem
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.measure import summaries
from kdsspark.stages.summarize.significance import write_significance
from kdsspark.stats.summaries import lognormal
from kdsspark.stats.summaries.lognormal import LogNormal
from kdsspark.stats.summaries.thresholds import (
    DISTRIBUTION_BINS,
    GRID,
    SURVIVAL_GRID,
    Curve,
    Tally,
    Thresholds,
    thresholds,
)
from kdsspark.tables import DAVG, DISTRIBUTION, EMBEDDINGS, KS, LAYERS, SURVIVAL, THRESHOLDS, Table

_SIGNS: Final = ("+", "-")
_LABELS: Final = ("true", "shuffled")
_PART: Final = "part-0"

_Counts = tuple[Tally, npt.NDArray[np.int64]]
"""The tally and the distribution, int64 [200], of a layer under one labeling."""


@dataclass(frozen=True, kw_only=True)
class SummaryItem(WorkItem):
    """One measured dataset, by one network."""

    output: Output
    pair: Pair
    layers: dict[str, list[str]]  # layer -> names of its measured slices
    kinds: dict[str, str]  # layer -> conv, fc or other
    n_images: int  # embedded
    classes: int  # in the index
    shuffles: int
    keep_shuffled: bool

    @cached_property
    def n_classes(self) -> int:
        """The number of classes with an embedded image, read from ``embeddings``."""
        ids = parquet.read(self.output, EMBEDDINGS, *self.pair, columns=["class_id"])["class_id"]
        return int(pc.count_distinct(ids).as_py())


@dataclass(frozen=True)
class _Layer:
    """The counts and fits of one layer, under the true labels or under all shuffles."""

    name: str
    tallies: tuple[Tally, ...]  # one per shuffle, or the one of the true labels
    distribution: npt.NDArray[np.int64]  # [200]
    fits: tuple[LogNormal, LogNormal]  # to the ks > 0, to the -ks > 0

    @property
    def tally(self) -> Tally:
        """The tally over all shuffles."""
        return reduce(Tally.merge, self.tallies)


def summarize_dataset(job: SummaryItem) -> Outcome:
    """Write the dataset's part of every table that follows from ``ks``."""
    start = time.perf_counter()
    layers: dict[str, list[_Layer]] = {labels: [] for labels in _LABELS}
    curves = np.zeros((1 + job.shuffles, job.classes, 2, SURVIVAL_GRID.size), np.int64)
    for name, slices in job.layers.items():
        counts = _add_up(job, slices, curves)
        for labels in _LABELS:
            layers[labels].append(_layer(job, labels, name, slices, counts))
    (true,), shuffled = _totals(layers["true"]), _totals(layers["shuffled"])
    found = _thresholds(job, true, shuffled)
    _write(job, DAVG, _davg(found))
    for labels in _LABELS:
        first, part = (0, curves[:1]) if labels == "true" else (1, curves[1:])
        _write(job, LAYERS, _layer_rows(layers[labels], found), labels)
        _write(job, DISTRIBUTION, _distribution_rows(job, layers[labels]), labels)
        _write(job, SURVIVAL, _survival_rows(part, first), labels)
    row = _threshold_row(job, found, [_thresholds(job, true, [one]) for one in shuffled])
    reached = np.array([[tally.reach for tally in layer.tallies] for layer in layers["shuffled"]])
    row |= write_significance(job.output, job.pair, list(job.layers.values()), reached)
    path = THRESHOLDS.part(job.pair.dataset, job.pair.network)
    table = pa.Table.from_pylist([row], schema=THRESHOLDS.schema)
    parquet.write(job.output, path, table, THRESHOLDS.schema)
    return Outcome({"pairs": true.n_pairs}, {"summarize": time.perf_counter() - start})


def _thresholds(job: SummaryItem, true: Tally, shuffled: Sequence[Tally]) -> Thresholds:
    n_shuffled_classes = job.n_classes * len(shuffled)
    return thresholds(true, job.n_classes, reduce(Tally.merge, shuffled), n_shuffled_classes)


def _write(job: SummaryItem, table: Table, rows: pa.Table, *labels: str) -> None:
    parquet.write(job.output, table.part(_PART, *job.pair, *labels), rows, table.schema)


# -- one layer at a time -------------------------------------------------------------------------


def _add_up(
    job: SummaryItem, slices: Sequence[str], curves: npt.NDArray[np.int64]
) -> list[_Counts]:
    """Add up the slices of a layer: its counts under each labeling.

    The survival counts are added to ``curves``, int64 [labelings, classes, signs, 101].
    """
    zero = (Tally.zero(), np.zeros(DISTRIBUTION_BINS, np.int64))
    found: list[_Counts] = [zero] * (1 + job.shuffles)
    for name in slices:
        for shuffle, summary in summaries.read(job.output, job.pair, name):
            tally, distribution = found[shuffle]
            found[shuffle] = (tally.merge(summary.tally), distribution + summary.distribution)
            curves[shuffle] += summary.survival
    return found


def _layer(
    job: SummaryItem, labels: str, name: str, slices: Sequence[str], counts: Sequence[_Counts]
) -> _Layer:
    some = counts[:1] if labels == "true" else counts[1:]
    tallies = tuple(tally for tally, _ in some)
    distribution = np.sum([counted for _, counted in some], axis=0)
    return _Layer(name, tallies, distribution, _fits(job, labels, slices, tallies))


def _fits(
    job: SummaryItem, labels: str, slices: Sequence[str], tallies: Sequence[Tally]
) -> tuple[LogNormal, LogNormal]:
    """The fits to the positive and to the negative distances of a layer.

    If the distances were not kept, only their numbers are known.
    """
    if labels == "shuffled" and not job.keep_shuffled:
        total = reduce(Tally.merge, tallies)
        return LogNormal(int(total.plus[0])), LogNormal(int(total.minus[0]))
    paths = [KS.part(name, *job.pair, labels) for name in slices]
    ks = np.concatenate([parquet.read_file(job.output, p, ["ks"])["ks"].to_numpy() for p in paths])
    return lognormal.fit(ks[ks > 0]), lognormal.fit(-ks[ks < 0])


def _totals(layers: Sequence[_Layer]) -> list[Tally]:
    """The tally of each shuffle over all layers."""
    by_shuffle = zip(*(layer.tallies for layer in layers), strict=True)
    return [reduce(Tally.merge, tallies) for tallies in by_shuffle]


# -- tables --------------------------------------------------------------------------------------


def _threshold_row(
    job: SummaryItem, found: Thresholds, single: Sequence[Thresholds]
) -> dict[str, Any]:
    """The row of ``thresholds``; ``single`` has the thresholds that each shuffle alone gives."""
    row: dict[str, Any] = {
        "dataset": job.pair.dataset,
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


def _layer_rows(layers: Sequence[_Layer], found: Thresholds) -> pa.Table:
    rows = []
    for layer in layers:
        beyond = (
            _beyond(layer.tally.plus, found.t_plus),
            _beyond(layer.tally.minus, None if found.t_minus is None else -found.t_minus),
        )
        for sign, fit, count in zip(_SIGNS, layer.fits, beyond, strict=True):
            defined = count is not None and layer.tally.n_pairs
            kept = count / layer.tally.n_pairs if defined else None
            rows.append({"layer": layer.name, "sign": sign, **asdict(fit), "kept": kept})
    return pa.Table.from_pylist(rows, schema=LAYERS.schema)


def _beyond(counts: npt.NDArray[np.int64], threshold: float | None) -> Any:
    """The number of pairs beyond a threshold, which is a point of ``GRID``; None without one."""
    return None if threshold is None else int(counts[np.searchsorted(GRID, threshold)])


def _distribution_rows(job: SummaryItem, layers: Sequence[_Layer]) -> pa.Table:
    edges = np.linspace(-1, 1, DISTRIBUTION_BINS + 1)
    n, names = len(layers), [layer.name for layer in layers]
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


def _survival_rows(curves: npt.NDArray[np.int64], first: int) -> pa.Table:
    """The rows of ``survival`` from counts [shuffles, classes, signs, 101].

    They are in the order of class, shuffle, sign and x. ``first`` is the first shuffle's number.
    """
    counts = curves.swapaxes(0, 1)
    class_id, shuffle, sign, step = np.indices(counts.shape, np.int32).reshape(4, -1)
    return pa.table(
        {
            "class_id": class_id,
            "shuffle": shuffle + np.int32(first),
            "sign": np.array(_SIGNS)[sign],
            "x": SURVIVAL_GRID[step],
            "n_features": counts.ravel(),
        }
    )
