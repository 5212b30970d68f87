"""The tables that follow from the distances of one dataset: curves, thresholds, fits, tests.

Everything is a function of what ``measure`` hands on (:class:`Measured`), from files or memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.stages.summarize.significance import TESTED, significance
from kdsspark.stats.summaries import lognormal
from kdsspark.stats.summaries.counts import Summary
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
from kdsspark.tables import DAVG, DISTRIBUTION, LAYERS, SIGNIFICANCE, SURVIVAL, THRESHOLDS, Table

_SIGNS: Final = ("+", "-")
_LABELS: Final = ("true", "shuffled")

_Counts = tuple[Tally, npt.NDArray[np.int64]]
"""The tally and the distribution, int64 [200], of a layer under one labeling."""

Summarized = tuple[Table, tuple[str, ...], pa.Table]
"""A table, the value of its partition column ``labels`` if it has one, and its rows."""


class Measured(Protocol):
    """One measured dataset, by one network."""

    @property
    def dataset(self) -> str:
        """Its name."""

    @property
    def layers(self) -> Iterable[str]:
        """The names of the layers, in order."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """Layer -> conv, fc or other."""

    @property
    def n_images(self) -> int:
        """The number of images embedded."""

    @property
    def n_classes(self) -> int:
        """The number of classes with an embedded image, at least 1."""

    @property
    def n_labels(self) -> int:
        """The number of labels of these images: one each, or any number."""

    @property
    def classes(self) -> int:
        """The number of classes in the index."""

    @property
    def shuffles(self) -> int:
        """The number of shuffles."""

    @property
    def keep_shuffled(self) -> bool:
        """Whether the distances of shuffles were kept."""

    def summaries(self, layer: str) -> Iterator[tuple[int, Summary]]:
        """Shuffles and summaries, which add up to those of the layer."""

    def distances(self, layer: str, labels: str, columns: Sequence[str]) -> pa.Table:
        """Columns of ``ks`` of a layer, in the order of units; a row for each distance."""


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


def summarized(measured: Measured) -> Iterator[Summarized]:
    """Every table that follows from ``ks``, one after the other."""
    layers: dict[str, list[_Layer]] = {labels: [] for labels in _LABELS}
    curves = np.zeros((1 + measured.shuffles, measured.classes, 2, SURVIVAL_GRID.size), np.int64)
    for name in measured.layers:
        counts = _add_up(measured, name, curves)
        for labels in _LABELS:
            layers[labels].append(_layer(measured, labels, name, counts))
    (true,), shuffled = _totals(layers["true"]), _totals(layers["shuffled"])
    found = _thresholds(measured, true, shuffled)
    yield DAVG, (), _davg(found)
    for labels in _LABELS:
        first, part = (0, curves[:1]) if labels == "true" else (1, curves[1:])
        yield LAYERS, (labels,), _layer_rows(layers[labels], found)
        yield DISTRIBUTION, (labels,), _distribution_rows(measured, layers[labels])
        yield SURVIVAL, (labels,), _survival_rows(part, first)
    row = _threshold_row(measured, found, [_thresholds(measured, true, [one]) for one in shuffled])
    reached = np.array([[tally.reach for tally in layer.tallies] for layer in layers["shuffled"]])
    tested, counts_below = significance(
        (measured.distances(name, "true", TESTED) for name in measured.layers), reached
    )
    yield SIGNIFICANCE, (), tested
    yield THRESHOLDS, (), pa.Table.from_pylist([row | counts_below], schema=THRESHOLDS.schema)


def _thresholds(measured: Measured, true: Tally, shuffled: Sequence[Tally]) -> Thresholds:
    n_shuffled_classes = measured.n_classes * len(shuffled)
    return thresholds(true, measured.n_classes, reduce(Tally.merge, shuffled), n_shuffled_classes)


# -- one layer at a time -------------------------------------------------------------------------


def _add_up(measured: Measured, layer: str, curves: npt.NDArray[np.int64]) -> list[_Counts]:
    """Add up the slices of a layer: its counts under each labeling.

    The survival counts are added to ``curves``, int64 [labelings, classes, signs, 101].
    """
    zero = (Tally.zero(), np.zeros(DISTRIBUTION_BINS, np.int64))
    found: list[_Counts] = [zero] * (1 + measured.shuffles)
    for shuffle, summary in measured.summaries(layer):
        tally, distribution = found[shuffle]
        found[shuffle] = (tally.merge(summary.tally), distribution + summary.distribution)
        curves[shuffle] += summary.survival
    return found


def _layer(measured: Measured, labels: str, name: str, counts: Sequence[_Counts]) -> _Layer:
    some = counts[:1] if labels == "true" else counts[1:]
    tallies = tuple(tally for tally, _ in some)
    distribution = np.sum([counted for _, counted in some], axis=0)
    return _Layer(name, tallies, distribution, _fits(measured, labels, name, tallies))


def _fits(
    measured: Measured, labels: str, layer: str, tallies: Sequence[Tally]
) -> tuple[LogNormal, LogNormal]:
    """The fits to the positive and to the negative distances of a layer.

    If the distances were not kept, only their numbers are known.
    """
    if labels == "shuffled" and not measured.keep_shuffled:
        total = reduce(Tally.merge, tallies)
        return LogNormal(int(total.plus[0])), LogNormal(int(total.minus[0]))
    ks = measured.distances(layer, labels, ["ks"])["ks"].to_numpy()  # null reads as NaN
    return lognormal.fit(ks[ks > 0]), lognormal.fit(-ks[ks < 0])


def _totals(layers: Sequence[_Layer]) -> list[Tally]:
    """The tally of each shuffle over all layers."""
    by_shuffle = zip(*(layer.tallies for layer in layers), strict=True)
    return [reduce(Tally.merge, tallies) for tallies in by_shuffle]


# -- tables --------------------------------------------------------------------------------------


def _threshold_row(
    measured: Measured, found: Thresholds, single: Sequence[Thresholds]
) -> dict[str, Any]:
    """The row of ``thresholds``; ``single`` has the thresholds that each shuffle alone gives."""
    row: dict[str, Any] = {
        "dataset": measured.dataset,
        "n_images": measured.n_images,
        "n_classes": measured.n_classes,
        "images_per_class": measured.n_labels / measured.n_classes,
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


def _distribution_rows(measured: Measured, layers: Sequence[_Layer]) -> pa.Table:
    edges = np.linspace(-1, 1, DISTRIBUTION_BINS + 1)
    n, names = len(layers), [layer.name for layer in layers]
    return pa.table(
        {
            "kind": np.repeat([measured.kinds[name] for name in names], DISTRIBUTION_BINS),
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
