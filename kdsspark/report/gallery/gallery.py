"""What the pages show of one network and dataset, beside the results of the queries: plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kdsspark.report.gallery.choice import Distances, Kin

Counts = npt.NDArray[np.int64]
"""[bins], numbers of images over the range of a feature."""


@dataclass(frozen=True)
class LayerShown:
    """A layer and the numbers of its features."""

    name: str
    kind: str  # conv, fc, other
    depth: int
    first: int  # feature
    units: int
    whole: str | None = None  # why its patches are whole crops, where they are


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of one file: a strip of ``n`` tiles, or a sheet."""

    path: str  # relative to the report
    n: int


@dataclass(frozen=True, eq=False)
class ClassShown:
    """A class, and the features that its page shows: by presence and by absence, best first."""

    class_id: int
    name: str
    n_images: int
    n_plus: int  # features above t+
    n_minus: int
    present: Sequence[int]
    absent: Sequence[int]
    kin: Sequence[Kin]
    samples: Sample | None
    n_failed: int = 0
    n_copies: int = 0  # images that have a byte-identical one in the dataset


@dataclass(frozen=True)
class Exemplar:
    """An image that excites a unit: its class, and the maximum of the unit's map."""

    class_name: str
    activation: float


@dataclass(frozen=True, eq=False)
class UnitShown:
    """A unit that the report draws."""

    feature: int
    layer: LayerShown
    unit: int
    counts: Counts | None  # over all images of the dataset
    inner: Mapping[int, Counts]  # class -> its counts, for the classes that are drawn
    exemplars: Sequence[Exemplar]
    corpus: str  # dataset of the exemplars
    patches: Sample | None  # a sheet of 3 x 3
    projections: Sample | None  # the same sheet, projected
    n_active: int | None  # of n images of the corpus, those whose maximum is above 0
    n: int | None

    @property
    def dead(self) -> bool:
        """Whether no image of the corpus excites it."""
        return self.n_active == 0

    @property
    def name(self) -> str:
        """For people: ``fire5 · 184``."""
        return f"{self.layer.name} \u00b7 {self.unit}"


@dataclass(frozen=True, eq=False)
class Sheet:
    """The best patch of the most selective units of a layer, in a strip, in this order."""

    path: str
    corpus: str
    features: Sequence[int]
    n_active: Mapping[int, int]  # feature -> images that excite it, for all units of the layer
    n: int  # images of the corpus


Published = tuple[str, float]
"""A class of the paper's dataset, and the distance that the paper prints."""


@dataclass(frozen=True)
class FigureUnit:
    """A unit of a figure, and the classes at the end that the figure shows, the farthest first."""

    feature: int
    classes: tuple[int, ...]
    published: tuple[Published, ...] = ()  # empty for a unit that the paper does not name


@dataclass(frozen=True)
class UnitFigure:
    """Figure 2, 3, 4 or 7 of the paper for one dataset; ``named``: its units are the paper's."""

    number: int
    named: bool
    units: tuple[FigureUnit, ...]


@dataclass(frozen=True, eq=False)
class Gallery:
    """One network and dataset. ``ks``, ``q``: [classes, features]; NaN in ``q``: none."""

    network: str
    dataset: str
    layers: Sequence[LayerShown]
    classes: Sequence[ClassShown]
    units: Mapping[int, UnitShown]  # by feature
    ks: Distances
    q: Distances | None
    t_plus: float | None
    t_minus: float | None
    alike: Distances  # [classes, classes]
    order: Sequence[int]  # of the classes: like ones stand together
    sheets: Mapping[str, Sheet] = field(default_factory=dict)  # layer -> its sheet
    figures: Sequence[UnitFigure] = ()  # of the paper, that are drawn for this dataset
    rows: Mapping[int, Sample] = field(default_factory=dict)  # feature -> its patches, in a strip
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    n_images: int | None = None  # of the dataset; None: classes add up to it

    @cached_property
    def layer_of(self) -> npt.NDArray[np.int32]:
        """[features], the depth of each."""
        return np.repeat(
            np.arange(len(self.layers), dtype=np.int32), [layer.units for layer in self.layers]
        )

    @cached_property
    def ranks(self) -> npt.NDArray[np.int32]:
        """[classes, features], the place of each feature by the size of its distance, from 1."""
        order = np.argsort(-np.abs(self.ks), axis=1, kind="stable")
        ranks = np.empty(order.shape, np.int32)
        np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1, dtype=np.int32)[None], 1)
        return ranks

    @cached_property
    def by_id(self) -> dict[int, ClassShown]:
        """The classes by their numbers."""
        return {shown.class_id: shown for shown in self.classes}

    def unit_of(self, feature: int) -> tuple[str, int]:
        """The layer and unit of a feature."""
        layer = self.layers[int(self.layer_of[feature])]
        return layer.name, feature - layer.first
