"""Gather what the report shows in pictures: choose, let executors read and cut, put together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.engine.stage import Context
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.report.gallery import unit_figures
from kdsspark.report.gallery.gallery import (
    ClassShown,
    Exemplar,
    Gallery,
    LayerShown,
    Sample,
    Sheet,
    UnitShown,
)
from kdsspark.report.parts import formats
from kdsspark.stages import label_sets
from kdsspark.stages.report import curves, sizes, subjects
from kdsspark.stages.report.curves import ALL, Curves
from kdsspark.stages.report.pictures import best_images, cutting, projections
from kdsspark.stages.report.pictures.best_images import Best, BestImages, Images
from kdsspark.stages.report.pictures.picture import PictureFile
from kdsspark.stages.report.sizes import Sizes
from kdsspark.stages.report.subjects import Subject
from kdsspark.tables import DUPLICATES, FAILURES

CHOOSES_FROM: Final = ("layers", "thresholds", "classes")
"""The queries whose results :func:`choose` reads."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What is chosen of every pair that has distances, the images of it, and the sizes."""

    shown: Sequence[tuple[Subject, BestImages]]
    size: Sizes


def choose(context: Context, frames: Mapping[str, pd.DataFrame]) -> Choice:
    """Choose from the tables what is shown (driver, without Spark).

    ``frames`` are the results of the queries ``CHOOSES_FROM``.
    """
    size = sizes.of_site(len(frames["classes"]), context.config.report.units)
    chosen = subjects.choose_all(context, frames, size.units)
    return Choice([(one, best_images.read(context.output, one)) for one in chosen], size)


def pictures(context: Context, choice: Choice) -> dict[str, bytes]:
    """The pictures of the whole site, by their paths (driver)."""
    shown, size = choice.shown, choice.size
    return cutting.cut(context, shown, size) | projections.project(context, shown, size)


def counts_shown(choice: Choice) -> dict[Pair, curves.WantedCounts]:
    """The histograms that the pages show."""
    return {subject.pair: _wanted(subject) for subject, _ in choice.shown}


def galleries(
    output: Output,
    choice: Choice,
    made: Mapping[str, bytes],
    counts: Mapping[Pair, Curves],
) -> list[Gallery]:
    """The gallery of every pair that has distances, of :func:`pictures` and histograms."""
    return [
        _Material(subject, best, made, counts.get(subject.pair, {}), choice.size).gallery(output)
        for subject, best in choice.shown
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


@dataclass(frozen=True, eq=False)
class _Material:
    """All that the gallery of one pair is made of."""

    subject: Subject
    best: BestImages
    made: Mapping[str, bytes]  # pictures of the whole site, by their paths
    counts: Curves
    size: Sizes

    def gallery(self, output: Output) -> Gallery:
        """What the pages show."""
        subject, chosen = self.subject, self.subject.chosen
        patches = self._of_units(chosen.drawn, cutting.patches)
        projected = self._of_units(chosen.drawn, projections.projected)
        rows = self._of_units(unit_figures.in_rows(subject.figures), cutting.row)
        samples = self._shown({c: cutting.samples(subject, c, self.size) for c in subject.samples})
        sheets = self._sheets() if subject.with_sheets else {}
        shown: list[Sample | Sheet] = [
            *patches.values(),
            *projected.values(),
            *sheets.values(),
            *rows.values(),
            *(samples.values() if subject.sampled_by == subject.pair else ()),
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
            sheets=sheets,
            figures=subject.figures,
            n_images=subject.n_images,
            rows=rows,
            files={one.path: self.made[one.path] for one in shown},
        )

    def _of_units(
        self,
        features: Iterable[int],
        picture: Callable[[Subject, BestImages, int, Sizes], PictureFile],
    ) -> dict[int, Sample]:
        """A picture of each unit; none where no image can be read."""
        return self._shown({f: picture(self.subject, self.best, f, self.size) for f in features})

    def _shown(self, pictures: Mapping[int, PictureFile]) -> dict[int, Sample]:
        """The pictures that were made."""
        return {
            key: Sample(picture.path, picture.n)
            for key, picture in pictures.items()
            if picture.path in self.made
        }

    def _unit(self, feature: int, patches: Sample | None, projected: Sample | None) -> UnitShown:
        layer, best = self.subject.layer_of(feature), self.best.of(feature)
        unit = feature - layer.first
        counts = self._counts_of[layer.name, unit]
        n = self.best.n if any(one.placed for one in best) else None  # None: values, not images
        n_active = None if n is None else int(self.best.n_active[feature])
        exemplars = () if n_active == 0 else best
        return UnitShown(
            feature=feature,
            layer=layer,
            unit=unit,
            counts=counts.get(ALL),
            inner={c: n for c, n in counts.items() if c != ALL},
            exemplars=[_exemplar(one, self.best.images) for one in exemplars],
            corpus=self.subject.of_patches.dataset,
            patches=patches,
            projections=projected,
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

    def _sheets(self) -> dict[str, Sheet]:
        """The sheet of every layer of which an image can be read."""
        found = {}
        for layer, features in zip(self.subject.layers, self.subject.chosen.sheets, strict=True):
            picture = cutting.sheet(self.subject, layer, len(features), self.size)
            if picture.path in self.made:
                found[layer.name] = self._sheet(picture.path, layer, features)
        return found

    def _sheet(self, path: str, layer: LayerShown, features: Sequence[int]) -> Sheet:
        own = range(layer.first, layer.first + layer.units)
        active = {f: int(self.best.n_active[f]) for f in own}
        return Sheet(path, self.subject.of_patches.dataset, features, active, self.best.n)


def _exemplar(best: Best, images: Images) -> Exemplar:
    _, class_name = images.get(best.image_id, ("", "?"))
    return Exemplar(class_name, best.activation)


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
