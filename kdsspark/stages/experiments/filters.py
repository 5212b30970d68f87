"""``filters``: single features as detectors, and how many a class needs (driver and executor).

Agrawal, Girshick & Malik 2014, section 4, on the features of each layer as they were embedded; they
take the maximum over space of one view, which an embedding has with ``pooling: max`` and
``crops: center``. Their greedy choice: a linear support vector machine on all features ranks them
by absolute weight, and machines on the best k of them are compared with it on images apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kdsspark.config import Config, Probe
from kdsspark.engine.items import Outcome, WorkItem
from kdsspark.engine.stage import Context
from kdsspark.hashing import fingerprint
from kdsspark.output import parquet
from kdsspark.output.arrow import flat_values, image_keys
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages import EXPERIMENTS, pairs
from kdsspark.stages.pairs import Embedded, PairPlan
from kdsspark.stages.probe.classifier import fit_at_once
from kdsspark.stats.accuracy.precision import average_precisions, precision_at
from kdsspark.stats.accuracy.split import Split, random_places, split
from kdsspark.tables import FILTERS, FILTERS_CURVES, FILTERS_NEEDED

STAGE: Final = next(one for one in EXPERIMENTS if FILTERS in one.tables)
SIZES: Final = (1, 2, 3, 5, *range(10, 51, 5), 80, 100, 128, 256)
"""The numbers of features; wider layers have 512, 1024 and so on, too."""

BEST: Final = 50
"""The features of a class that are held against those of another (figure 5)."""

_FORMAT: Final = 1  # of the files written; if it changes, every output is computed again
_CURVES: Final = 5  # features of each kind whose precision and recall are drawn
_RECALLS: Final = np.linspace(0, 1, 21)
_BYTES_OF_A_VALUE: Final = (
    32  # float64, scaled, and the solver's own copy with the feature's number
)


@dataclass(frozen=True, kw_only=True)
class FiltersItem(WorkItem):
    """One layer of a pair."""

    output: Output
    source: Embedded
    layer: str
    settings: Probe
    memory: int  # bytes


def run(context: Context) -> None:
    """Compute what is missing; raises :class:`DatasetError` if a pair is not embedded."""
    pairs.run(context, STAGE, plan, filters_of_layer, lambda item: item.source.widths[item.layer])


def plan(output: Output, config: Config, pair: Pair) -> PairPlan:
    """What is to do for a pair; raises :class:`DatasetError` if it is not embedded."""
    source, settings = pairs.embedded(output, pair), config.probe
    memory = config.measure.memory_bytes
    used = [settings.test, settings.seed, _penalty(settings)]
    items = []
    for depth, (layer, width) in enumerate(source.widths.items()):
        fits = memory // (_BYTES_OF_A_VALUE * width) >= source.n_images
        cut = None if fits else memory  # what decides how many images take part
        items.append(
            FiltersItem(
                name=pair.item(f"layer-{depth:04d}"),
                digest=fingerprint([_FORMAT, source.digest, used, cut]),
                output=output,
                source=source,
                layer=layer,
                settings=settings,
                memory=memory,
            )
        )
    return PairPlan.of(STAGE, items)


# -- one layer (executor) ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _FilterLayer:
    """The images of a layer that take part, and how they are split."""

    values: npt.NDArray[np.float64]  # [images that take part, features]; not finite: 0
    labels: npt.NDArray[np.int32]
    split: Split  # of these images
    precisions: npt.NDArray[np.float64]  # [features, classes], over all images
    curves: pa.Table


def filters_of_layer(item: FiltersItem) -> Outcome:
    """Write the rows of one layer."""
    start = time.perf_counter()
    layer = _read(item)
    read = time.perf_counter()
    tested = np.bincount(layer.labels[layer.split.tested], minlength=layer.precisions.shape[1])
    classes = [int(c) for c in np.flatnonzero(tested) if tested[c] < tested.sum()]
    needed: list[dict[str, Any]] = []
    best: list[dict[str, Any]] = []
    converged = True
    for c in classes:
        ranked, rows, ok = _needed(item, layer, c)
        needed += rows
        best += _best(item.layer, c, layer.precisions[:, c], ranked)
        converged &= ok
    curves = layer.curves.filter(pa.array(np.isin(layer.curves["class_id"], classes)))
    tables = {FILTERS: best, FILTERS_NEEDED: needed}
    for table, rows in tables.items():
        path = table.part(item.name.part, *item.source.pair)
        parquet.write_rows(item.output, path, rows, table)
    path = FILTERS_CURVES.part(item.name.part, *item.source.pair)
    parquet.write(item.output, path, curves, FILTERS_CURVES.schema)
    counts = {"classes": len(classes), "converged": int(converged)}
    return Outcome(counts, {"read": read - start, "fit": time.perf_counter() - read})


def _read(item: FiltersItem) -> _FilterLayer:
    """Read the images and split them; of a corpus that does not fit, equally many of each class."""
    source, settings = item.source, item.settings
    parts = [
        parquet.read_file(item.output, path, ["image_id", "class_id"]) for path in source.parts
    ]
    rows = pa.concat_tables(parts)
    labels = rows["class_id"].to_numpy()
    n_classes, width = 1 + int(labels.max()), source.widths[item.layer]
    places = random_places(image_keys(rows["image_id"]), labels, settings.seed)
    found = split(places, labels, settings.test)
    fitting = item.memory // (_BYTES_OF_A_VALUE * width)
    if fitting < len(labels):
        most = max(2, fitting // n_classes)
        test = max(1, round(settings.test * most))
        found = split(places, labels, settings.test, most - test, test)
    kept = found.trained | found.tested
    precisions, curves, chosen = [], [], []
    for units in _slices(width, len(labels), item.memory):
        values = _units(item, units)
        own = average_precisions(values, labels, n_classes)
        precisions.append(own)
        chosen.append(np.where(np.isfinite(values[kept]), values[kept], 0).astype(np.float64))
    precision = np.concatenate(precisions)
    curves = _curves(item, labels, precision)
    # The result of the solver depends on the order of the images, which is that of their ids.
    keys = image_keys(rows["image_id"])[kept]
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    of_kept = Split(found.trained[kept][order], found.tested[kept][order])
    values = np.concatenate(chosen, axis=1)[order]
    return _FilterLayer(values, labels[kept][order], of_kept, precision, curves)


def _slices(width: int, n_images: int, memory: int) -> Iterator[slice]:
    """The features to read at a time, within a quarter of the memory."""
    most = max(1, memory // (4 * 16 * n_images))
    yield from (slice(start, min(start + most, width)) for start in range(0, width, most))


def _units(item: FiltersItem, units: slice) -> npt.NDArray[Any]:
    """Some features of all images, in the order of the parts: [images, features]."""
    width = item.source.widths[item.layer]
    found = [
        flat_values(rows[item.layer]).reshape(len(rows), width)[:, units]
        for part in item.source.parts
        for rows in parquet.row_groups(item.output, part, [item.layer])
    ]
    return np.concatenate(found)


def _curves(
    item: FiltersItem, labels: npt.NDArray[np.int32], precisions: npt.NDArray[np.float64]
) -> pa.Table:
    """The precision and recall of the best features of each class, and of some drawn by chance."""
    width, n_classes = precisions.shape
    drawn = np.random.default_rng(item.settings.seed).permutation(width)[:_CURVES]
    wanted: dict[int, list[tuple[int, str, int]]] = {}  # unit -> class, kind and place
    for c in range(n_classes):
        best = np.argsort(-precisions[:, c], kind="stable")[:_CURVES]
        for kind, some in (("best", best), ("random", drawn)):
            for place, unit in enumerate(some.tolist(), start=1):
                wanted.setdefault(unit, []).append((c, kind, place))
    rows = []
    for units in _slices(width, len(labels), item.memory):
        values = _units(item, units)
        for unit in range(units.start, units.stop):
            for c, kind, place in wanted.get(unit, ()):
                curve = precision_at(values[:, unit - units.start], labels == c, _RECALLS)
                head = {"layer": item.layer, "class_id": c, "kind": kind, "place": place}
                rows += [
                    head | {"recall": recall, "precision": precision}
                    for recall, precision in zip(_RECALLS, curve, strict=True)
                ]
    table = pa.Table.from_pylist(rows, FILTERS_CURVES.schema)
    return table.sort_by([(name, "ascending") for name in ("class_id", "kind", "place", "recall")])


def _needed(
    item: FiltersItem, layer: _FilterLayer, c: int
) -> tuple[npt.NDArray[np.int64], list[dict[str, Any]], bool]:
    """The features by absolute weight, the rows of ``filters_needed``, and if all converged."""
    width = layer.values.shape[1]
    full, weights, converged = _fit(item, layer, c, np.arange(width))
    ranked = np.argsort(-np.abs(weights), kind="stable")
    trained, tested = (int(some.sum()) for some in layer.split)
    rows = []
    for k in _sizes(width):
        precision, ok = full, True
        if k < width:
            precision, _, ok = _fit(item, layer, c, ranked[:k])
        converged &= ok
        row = {"layer": item.layer, "class_id": c, "k": k, "average_precision": precision}
        rows.append(row | {"share": precision / full, "n_train": trained, "n_test": tested})
    return ranked, rows, converged


def _sizes(width: int) -> list[int]:
    """The numbers of features to try in a layer, all of them last."""
    sizes, size = list(SIZES), SIZES[-1]
    while size < width:
        size *= 2
        sizes.append(size)
    return [*(k for k in sizes if k < width), width]


def _fit(
    item: FiltersItem, layer: _FilterLayer, c: int, units: npt.NDArray[np.int64]
) -> tuple[float, npt.NDArray[np.float64], bool]:
    """Average precision on the test images, weights [units], and whether the solver converged.

    Values are scaled by one number, so that vectors have a length of 1 on average, for which the
    penalty is meant; features keep their proportions.
    """
    trained, tested = layer.split
    values = layer.values[:, units]
    length = float(np.linalg.norm(values[trained], axis=1).mean()) or 1.0
    positive = (layer.labels == c).astype(np.int32)
    model, converged = fit_at_once(
        values[trained] / length, positive[trained], _penalty(item.settings)
    )
    scores = model.decision_function(values[tested] / length)
    precision = average_precisions(scores[:, None], positive[tested], 2)[0, 1]
    return float(precision), model.coef_[0], converged


def _penalty(settings: Probe) -> float:
    """The penalty of errors; 1 where it would be chosen, since thousands of machines are fitted."""
    return 1.0 if settings.c is None else settings.c


def _best(
    layer: str, c: int, precisions: npt.NDArray[np.float64], ranked: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """The rows of ``filters`` of one class."""
    highest = np.argsort(-precisions, kind="stable")[:_CURVES]
    places = {int(unit): place for place, unit in enumerate(highest, start=1)}
    by_weight = {int(unit): place for place, unit in enumerate(ranked[:BEST], start=1)}
    return [
        {
            "layer": layer,
            "class_id": c,
            "unit": unit,
            "average_precision": float(precisions[unit]),
            "place": places.get(unit),
            "weight_place": by_weight.get(unit),
        }
        for unit in sorted(places.keys() | by_weight.keys())
    ]
