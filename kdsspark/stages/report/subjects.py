"""What the report shows of each network and dataset: chosen from the tables (driver)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark import paper
from kdsspark.engine.stage import Context
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.report.gallery import unit_figures
from kdsspark.report.gallery.chosen import Chosen, choose
from kdsspark.report.gallery.gallery import LayerShown, UnitFigure
from kdsspark.report.parts import formats
from kdsspark.stages import label_sets
from kdsspark.stages.embed.networks import saved_networks, whole_crops
from kdsspark.stages.exemplars.stage import corpus_of
from kdsspark.stages.report import distances, looks
from kdsspark.stages.report.looks import Looks
from kdsspark.tables import FAILURES, IMAGES

SAMPLES = 9
"""Images that show a class."""

Frames = Mapping[str, pd.DataFrame]
Samples = Mapping[int, Sequence[str]]
"""class_id -> uris."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One network and dataset, and what is chosen of it.

    ``ks``, ``q``: float32 [classes, features], as :func:`distances.read` gives them.
    """

    pair: Pair
    corpus: Pair | None  # whose images are the exemplars
    layers: tuple[LayerShown, ...]
    classes: pd.DataFrame  # class_id, class_name, images, n_plus, n_minus; a row per class
    thresholds: tuple[float | None, float | None]
    n_images: int  # embedded
    ks: npt.NDArray[np.float32]
    q: npt.NDArray[np.float32]
    chosen: Chosen
    asked: Sequence[int]  # features that somebody asked to see
    samples: Samples
    sampled_by: Pair  # the pair that cuts the samples, the same for all networks
    with_sheets: bool  # whether its exemplars stand for whole layers
    figures: tuple[UnitFigure, ...]  # of the paper, for this dataset

    @property
    def of_patches(self) -> Pair:
        """The pair whose images are the patches of its units."""
        return self.corpus or self.pair

    @cached_property
    def firsts(self) -> dict[str, int]:
        """Layer -> its first feature."""
        return _firsts(self.layers)

    def layer_of(self, feature: int) -> LayerShown:
        """The layer that a feature belongs to."""
        return next(layer for layer in reversed(self.layers) if layer.first <= feature)


def choose_all(context: Context, frames: Frames, n_units: int) -> list[Subject]:
    """The subject of every pair that has distances, with ``n_units`` units of each class.

    ``frames`` are the results of the queries ``layers``, ``thresholds`` and ``classes``.
    """
    rows = frames["classes"].groupby(["network", "dataset"])
    classes = {Pair(*map(str, key)): own.sort_values("class_id") for key, own in rows}
    pairs = [pair for pair in context.pairs if pair in classes]
    of_images = {dataset.name for dataset in context.config.image_datasets}
    shown = {pair.dataset for pair in pairs} & of_images
    samples = {name: _samples(context.output, pairs, name) for name in shown}
    owners = {pair.dataset: pair for pair in reversed(pairs)}
    largest = _largest(frames["thresholds"])
    asked = looks.read(context.output)
    papers_own = _papers_networks(context)
    starts = (
        _Start(
            pair,
            classes[pair],
            samples.get(pair.dataset, {}),
            owners[pair.dataset],
            asked,
            largest[pair.network] == pair.dataset,
            _figures(pair, [p for p in pairs if p.dataset in of_images], largest),
            pair.network in papers_own,
        )
        for pair in pairs
    )
    return [_subject(context, start, frames, n_units) for start in starts]


def _papers_networks(context: Context) -> set[str]:
    """The networks whose units are those that figures 2, 3, 4 and 7 of the paper name."""
    specs = saved_networks(context.output, context.config)
    return {
        name
        for name, spec in specs.items()
        if spec.architecture == paper.UNITS_ARCHITECTURE and spec.weights != "random"
    }


def _figures(pair: Pair, pairs: Sequence[Pair], largest: Mapping[str, str]) -> list[int]:
    """The figures of the paper that are drawn for a pair; ``pairs``: those that have images."""
    own = [other.dataset for other in pairs if other.network == pair.network]
    drawn = unit_figures.datasets_of(own, largest[pair.network])
    return [n for n, name in drawn.items() if name == pair.dataset and name in own]


@dataclass(frozen=True, eq=False)
class _Start:
    """What is known of a pair before anything is chosen."""

    pair: Pair
    classes: pd.DataFrame
    samples: Samples
    sampled_by: Pair
    looks: Looks
    with_sheets: bool
    figures: Sequence[int]
    papers_network: bool  # whether the paper names units of it


def _subject(context: Context, start: _Start, frames: Frames, n_units: int) -> Subject:
    pair = start.pair
    layers = _layers(frames["layers"], pair.network, whole_crops(context.output, pair.network))
    limits = _thresholds(frames["thresholds"], pair)
    widths = [layer.units for layer in layers]
    shape = int(start.classes["class_id"].max()) + 1, sum(widths)
    ks, q = distances.read(context.output, pair, _firsts(layers), shape)
    figure1 = [(layer, unit) for name, layer, unit, _ in context.drawn if name == pair.dataset]
    asked = _features(layers, start.looks.features(pair.network))
    class_names = dict(zip(start.classes["class_id"], start.classes["class_name"], strict=True))
    figures = unit_figures.choose(
        start.figures, pair.dataset, ks, layers, class_names, start.papers_network
    )
    more = [*_features(layers, figure1), *asked, *unit_figures.features(figures)]
    depth = np.repeat(np.arange(len(layers), dtype=np.int32), widths)
    return Subject(
        pair=pair,
        corpus=corpus_of(context.config, pair),
        layers=layers,
        classes=start.classes,
        thresholds=limits,
        n_images=_n_images(frames["thresholds"], pair),
        ks=ks,
        q=q,
        chosen=choose(ks, depth, limits, n_units, more, _asked_classes(start)),
        asked=asked,
        samples=start.samples,
        sampled_by=start.sampled_by,
        with_sheets=start.with_sheets,
        figures=figures,
    )


def _asked_classes(start: _Start) -> list[int]:
    """The classes that somebody asked to see."""
    names = start.looks.names(start.pair.dataset)
    known = start.classes
    return [int(c) for c in known.loc[known["class_name"].isin(names), "class_id"]]


def _features(layers: Sequence[LayerShown], units: Iterable[tuple[str, int]]) -> list[int]:
    """The features of units, by layer; without those that another network has."""
    own = {layer.name: layer for layer in layers}
    return [
        own[layer].first + unit for layer, unit in units if layer in own and unit < own[layer].units
    ]


def _largest(thresholds: pd.DataFrame) -> dict[str, str]:
    """Network -> its dataset with the most images, whose exemplars stand for whole layers."""
    ordered = thresholds.sort_values(["n_images", "dataset"], ascending=[False, True])
    return dict(ordered.groupby("network")["dataset"].first())


def _layers(layers: pd.DataFrame, network: str, whole: Mapping[str, str]) -> tuple[LayerShown, ...]:
    own = layers[layers["network"] == network].sort_values("depth")
    firsts = np.concatenate([[0], own["features"].to_numpy().cumsum()[:-1]])
    return tuple(
        LayerShown(name, row["kind"], row["depth"], int(first), row["features"], whole.get(name))
        for row, first in zip(formats.rows(own), firsts, strict=True)
        for name in [row["layer"]]
    )


def _firsts(layers: Sequence[LayerShown]) -> dict[str, int]:
    return {layer.name: layer.first for layer in layers}


def _thresholds(thresholds: pd.DataFrame, pair: Pair) -> tuple[float | None, float | None]:
    """t+ and t-; None where undefined, as for a dataset of one class."""
    of_network = thresholds["network"] == pair.network
    own = thresholds[of_network & (thresholds["dataset"] == pair.dataset)]
    t_plus, t_minus = (own[name].dropna().tolist() for name in ("t_plus", "t_minus"))
    return (t_plus[0] if t_plus else None), (t_minus[0] if t_minus else None)


def _n_images(thresholds: pd.DataFrame, pair: Pair) -> int:
    own = thresholds[thresholds["network"] == pair.network]
    return int(own.loc[own["dataset"] == pair.dataset, "n_images"].iloc[0])


def _samples(output: Output, pairs: Sequence[Pair], dataset: str) -> dict[int, list[str]]:
    """class_id -> the uris of the first images by id, which is an order by chance.

    Images that any network could not read are left out, so that all networks show the same ones.
    """
    failed = pa.chunked_array([], pa.string())
    for pair in pairs:
        if pair.dataset == dataset:
            rows = parquet.read(output, FAILURES, *pair, columns=["image_id"])["image_id"]
            failed = pa.chunked_array([*failed.chunks, *rows.chunks], pa.string())
    found: pd.DataFrame | None = None
    for path in output.files(IMAGES.partition(dataset)):
        for rows in parquet.row_groups(output, path, ["image_id", "uri", "class_id"]):
            good = rows.filter(pc.invert(pc.is_in(rows["image_id"], value_set=failed)))
            good = label_sets.by_class(output, dataset, good)
            both = good.to_pandas() if found is None else pd.concat([found, good.to_pandas()])
            found = both.sort_values("image_id").groupby("class_id").head(SAMPLES)
    if found is None:
        return {}
    return {int(str(c)): list(own["uri"]) for c, own in found.groupby("class_id")}
