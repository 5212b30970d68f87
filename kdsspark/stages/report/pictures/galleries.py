"""Gather what the report shows in pictures: choose, let executors read and cut, put together."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.stage import Context
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.report.gallery import sprites, unit_figures
from kdsspark.report.gallery.gallery import (
    ClassShown,
    Exemplar,
    Gallery,
    LayerShown,
    Sample,
    Sheet,
    UnitShown,
)
from kdsspark.report.parts import formats, names
from kdsspark.stages import label_sets
from kdsspark.stages.report import curves, sizes, subjects
from kdsspark.stages.report.curves import ALL, Curves
from kdsspark.stages.report.pictures import best_images, projections
from kdsspark.stages.report.pictures import cutting as pictures
from kdsspark.stages.report.pictures.best_images import BestImages, Images
from kdsspark.stages.report.pictures.cutting import Tiles
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject
from kdsspark.tables import DUPLICATES, FAILURES

CHOSEN_FROM: Final = ("layers", "thresholds", "classes")
"""The queries whose results say what is shown."""


def galleries(context: Context, frames: Mapping[str, pd.DataFrame]) -> list[Gallery]:
    """The gallery of every pair that has distances (driver).

    ``frames`` are the results of the queries ``CHOSEN_FROM``.
    """
    output = context.output
    size = sizes.of_site(len(frames["classes"]), context.config.report.units)
    chosen = subjects.choose_all(context, frames, size.units)
    shown = [(subject, best_images.read(output, subject)) for subject in chosen]
    tiles = pictures.cut(context, shown, size)
    projected = projections.project(context, shown, size)
    counts = curves.read(context.session, output, {s.pair: _wanted(s) for s in chosen})
    return [
        _Material(
            subject,
            best,
            tiles.get(subject.of_patches, {}),
            tiles.get(subject.sampled_by, {}),
            projected.get(subject.of_patches, {}),
            counts.get(subject.pair, {}),
            size,
        ).gallery(output)
        for subject, best in shown
    ]


def _wanted(subject: Subject) -> curves.WantedCounts:
    """The units whose counts are read: those of a class for the class, all for their extremes."""
    ends = (subject.ks.argmax(axis=0), subject.ks.argmin(axis=0))
    classes = {f: {int(end[f]) for end in ends} for f in subject.chosen.drawn}
    for side in (subject.chosen.present, subject.chosen.absent):
        for c, features in enumerate(side):
            for feature in features:
                classes[feature].add(c)
    for unit in (unit for figure in subject.figures for unit in figure.units):
        classes[unit.feature].update(unit.classes)
    keys = {}
    for feature, own in classes.items():
        layer = subject.layer_of(feature)
        keys[layer.name, feature - layer.first] = frozenset(own)
    return keys


class _Picture(NamedTuple):
    """A picture, and how its file is made."""

    shown: Sample
    encoded: Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class _Material:
    """All that the gallery of one pair is made of."""

    subject: Subject
    best: BestImages
    tiles: Tiles
    samples: Tiles  # of the pair that cut the samples
    projected: Tiles
    counts: Curves
    size: Sizes

    def gallery(self, output: Output) -> Gallery:
        """What the pages show."""
        subject, chosen = self.subject, self.subject.chosen
        patches = {f: p for f in chosen.drawn if (p := self._patches(f)) is not None}
        projected = {f: p for f in chosen.drawn if (p := self._projected(f)) is not None}
        strips = {c: tiles for c in subject.samples if (tiles := self._samples(c))}
        sheets = self._sheets() if subject.with_sheets else {}
        in_rows = unit_figures.features(
            figure for figure in subject.figures if figure.number in unit_figures.IN_ROWS
        )
        rows = {f: p for f in in_rows if (p := self._row(f)) is not None}
        made = [
            *patches.values(),
            *projected.values(),
            *(picture for _, picture in sheets.values()),
            *rows.values(),
        ]
        samples = {
            c: Sample(names.samples(subject.pair.dataset, c), len(tiles))
            for c, tiles in strips.items()
        }
        if subject.sampled_by == subject.pair:
            side = self.size.sample
            made += [
                _Picture(samples[c], partial(sprites.strip, tiles, side))
                for c, tiles in strips.items()
            ]
        return Gallery(
            network=subject.pair.network,
            dataset=subject.pair.dataset,
            layers=subject.layers,
            classes=_classes(output, subject, samples),
            units={f: self._unit(f, patches.get(f), projected.get(f)) for f in chosen.drawn},
            ks=subject.ks,
            q=None if np.isnan(subject.q).all() else subject.q,
            t_plus=subject.thresholds[0],
            t_minus=subject.thresholds[1],
            alike=chosen.alike,
            order=chosen.order,
            sheets={layer: sheet for layer, (sheet, _) in sheets.items()},
            figures=subject.figures,
            n_images=subject.n_images,
            rows={feature: picture.shown for feature, picture in rows.items()},
            files=_files(made),
        )

    @property
    def _corpus(self) -> str:
        return self.subject.of_patches.dataset

    def _patches(self, feature: int) -> _Picture | None:
        """The patches of a unit; None where no image can be read."""
        return self._nine(self.tiles, "patch", feature, names.picture)

    def _projected(self, feature: int) -> _Picture | None:
        """The projections of a unit; None where there are none."""
        return self._nine(self.projected, "projection", feature, names.projections)

    def _row(self, feature: int) -> _Picture | None:
        """The same patches as a strip."""
        return self._nine(self.tiles, "patch", feature, names.row, sprites.strip)

    def _nine(
        self,
        found: Tiles,
        kind: str,
        feature: int,
        named: Callable[[str, str, str, str], str],
        drawn: Callable[[Sequence[sprites.Tile | None], int], bytes] = sprites.sheet,
    ) -> _Picture | None:
        ranks = range(1, len(self.best.of(feature)) + 1)
        tiles = [found.get((kind, feature, rank)) for rank in ranks]
        if all(tile is None for tile in tiles):
            return None
        layer = self.subject.layer_of(feature)
        network, unit = self.subject.pair.network, str(feature - layer.first)
        path = named(network, self._corpus, layer.name, unit)
        return _Picture(Sample(path, len(tiles)), partial(drawn, tiles, self.size.patch))

    def _samples(self, c: int) -> list[npt.NDArray[np.uint8] | None]:
        """The sample images of a class; empty where none can be read."""
        tiles = [self.samples.get(("sample", c, n)) for n in range(len(self.subject.samples[c]))]
        return [] if all(tile is None for tile in tiles) else tiles

    def _unit(
        self, feature: int, patches: _Picture | None, projected: _Picture | None
    ) -> UnitShown:
        layer, rows = self.subject.layer_of(feature), self.best.of(feature)
        unit = feature - layer.first
        counts = self._counts_of[layer.name, unit]
        n = self.best.n if rows["x0"].notna().any() else None  # None: values, without images
        n_active = None if n is None else int(self.best.n_active[feature])
        exemplars = [] if n_active == 0 else rows.itertuples()
        return UnitShown(
            feature=feature,
            layer=layer,
            unit=unit,
            counts=counts.get(ALL),
            inner={c: n for c, n in counts.items() if c != ALL},
            exemplars=[_exemplar(row, self.best.images) for row in exemplars],
            corpus=self._corpus,
            patches=patches.shown if patches else None,
            projections=projected.shown if projected else None,
            n_active=n_active,
            n=n,
        )

    @cached_property
    def _counts_of(self) -> Mapping[tuple[str, int], dict[int, curves.Counts]]:
        """(layer, unit) -> its counts by class."""
        found: defaultdict[tuple[str, int], dict[int, npt.NDArray[np.int64]]] = defaultdict(dict)
        for (layer, unit, c), counts in self.counts.items():
            found[layer, unit][c] = counts
        return found

    def _sheets(self) -> dict[str, tuple[Sheet, _Picture]]:
        """The sheet of every layer of which an image can be read."""
        found = {}
        for layer, features in zip(self.subject.layers, self.subject.chosen.sheets, strict=True):
            tiles = [self.tiles.get(("sheet", feature)) for feature in features]
            if any(tile is not None for tile in tiles):
                path = names.sheet(self.subject.pair.network, layer.name)
                encoded = partial(sprites.strip, tiles, self.size.tile)
                picture = _Picture(Sample(path, len(tiles)), encoded)
                found[layer.name] = self._sheet(path, layer, features), picture
        return found

    def _sheet(self, path: str, layer: LayerShown, features: Sequence[int]) -> Sheet:
        own = range(layer.first, layer.first + layer.units)
        active = {f: int(self.best.n_active[f]) for f in own}
        return Sheet(path, self._corpus, features, active, self.best.n)


def _files(pictures: Sequence[_Picture]) -> dict[str, bytes]:
    """Path -> content, encoded by all cores of the driver: Pillow lets other threads run."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = list(pool.map(lambda picture: picture.encoded(), pictures))
    return {one.shown.path: content for one, content in zip(pictures, contents, strict=True)}


def _exemplar(row: Any, images: Images) -> Exemplar:
    _, class_name = images.get(row.image_id, ("", "?"))
    return Exemplar(class_name, float(row.activation))


def _classes(output: Output, subject: Subject, samples: Mapping[int, Sample]) -> list[ClassShown]:
    pair, chosen = subject.pair, subject.chosen
    failures = parquet.read(output, FAILURES, *pair, columns=["image_id", "class_id"])
    failed = _per_class(label_sets.by_class(output, pair.dataset, failures))
    copies = _per_class(label_sets.by_class(output, pair.dataset, _copies(output, pair.dataset)))
    return [
        ClassShown(
            class_id=c,
            name=row["class_name"],
            n_images=row["images"],
            n_plus=row["n_plus"],
            n_minus=row["n_minus"],
            present=chosen.present[c],
            absent=chosen.absent[c],
            kin=chosen.kin[c],
            samples=samples.get(c),
            n_failed=failed.get(c, 0),
            n_copies=copies.get(c, 0),
        )
        for row in formats.rows(subject.classes)
        for c in [row["class_id"]]
    ]


def _copies(output: Output, dataset: str) -> pa.Table:
    columns = ["image_id", "class_id", "in_dataset"]
    rows = parquet.read(output, DUPLICATES, dataset, columns=columns)
    return rows.filter(pc.greater(rows["in_dataset"], 1))


def _per_class(rows: pa.Table) -> dict[int, int]:
    counts = pc.value_counts(rows["class_id"]).to_pylist()
    return {row["values"]: row["counts"] for row in counts}
