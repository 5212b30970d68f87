"""The evidence for findings: the report's frames of one network, summarized for each dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark import paper
from kdsspark.report.data import of_network, signs_beside


class NotTestable(Exception):  # noqa: N818  (no error: an answer)
    """The tables lack what a finding is about; the text says what, and goes on after "because"."""


Part = Literal["low", "upper"]
"""Of the convolutional layers: :meth:`Evidence.part`."""


class Answer(NamedTuple):
    """Whether a finding holds, and the numbers that show it, as text."""

    holds: bool
    number: str


@dataclass(frozen=True)
class Finding:
    """One statement of the paper: its section, its text in our words, and how to judge it.

    ``published`` is the paper's own number, or where it shows what it says without one.
    """

    section: str
    text: str
    published: str
    judge: Callable[[Evidence], Answer]


def finding(
    section: str, text: str, published: str
) -> Callable[[Callable[[Evidence], Answer]], Finding]:
    """Decorator: the function judges the statement ``text`` of the paper's ``section``."""
    return lambda judge: Finding(section, text, published, judge)


@dataclass(frozen=True, eq=False)
class Evidence:
    """The frames of ``network`` (``frames``) and of all networks (``all_frames``), by query.

    ``groups``: dataset -> a, b or c, the overlap with the source task (``paper.GROUPS``). Every
    frame below has one row per dataset, or per dataset and layer, for datasets with distances. The
    column ``name`` has the paper's name of a dataset, None for other datasets.
    """

    network: str
    all_frames: Mapping[str, pd.DataFrame]
    groups: Mapping[str, str]

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The rows of the network."""
        return of_network(self.all_frames, self.network)

    @property
    def networks(self) -> list[str]:
        """All networks that have distances."""
        return [str(name) for name in self.all_frames["thresholds"]["network"].unique()]

    def rows(self, name: str, reason: str) -> pd.DataFrame:
        """The rows of a frame, with ``name`` and ``group``; NotTestable for ``reason`` if none."""
        rows = self.frames.get(name)
        if rows is None or rows.empty:
            raise NotTestable(reason)
        return self._labelled(rows)

    @cached_property
    def thresholds(self) -> pd.DataFrame:
        """Rows of ``thresholds`` with distances, by images per class; ``name``, ``group``."""
        rows = self.frames["thresholds"].dropna(subset=["t_plus"])
        if rows.empty:
            raise NotTestable("no dataset has distances")
        return self._labelled(rows)

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row per dataset and layer, signs side by side.

        Columns: dataset, name, group, images_per_class, depth, kind, layer; of each sign
        n_plus, mode_plus, low_plus, high_plus, q16_plus, q50_plus, q84_plus, kept_plus and
        n_minus, ...; gap, the distance between the two modes.
        """
        rows = self.frames["figure5"].dropna(subset=["mode"])
        keys = ["dataset", "images_per_class", "depth", "kind", "layer"]
        values = ["n", "mode", "low", "high", "q16", "q50", "q84", "kept"]
        wide = signs_beside(rows, keys, values).dropna()
        if wide.empty:
            raise NotTestable("no layer has distances of both signs")
        return self._labelled(wide.assign(gap=wide["mode_plus"] + wide["mode_minus"]))

    @cached_property
    def depths(self) -> list[int]:
        """The depths of convolutional layers, the shallowest first."""
        rows = self.of_kind(self.layers, "conv")
        return sorted(int(depth) for depth in rows["depth"].unique())

    def convolutional(self, part: Part) -> pd.DataFrame:
        """Rows of ``layers`` for a part of the convolutional layers."""
        return self.layers[self.layers["depth"].isin(self.part(part))]

    def part(self, part: Part) -> list[int]:
        """The depths of the first or the second half of the convolutional layers.

        The paper's low layers are conv1_1 to conv3_3 (section 6.1), which is the larger half of
        VGG16's; its middle and upper layers are conv4_1 to conv5_3.
        """
        if len(self.depths) < 3:
            raise NotTestable("it needs three convolutional layers or more")
        half = (len(self.depths) + 1) // 2
        return self.depths[:half] if part == "low" else self.depths[half:]

    @staticmethod
    def of_kind(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
        """The rows of one kind of layer; NotTestable without any."""
        rows = frame[frame["kind"] == kind]
        if rows.empty:
            words = {"fc": "fully connected", "conv": "convolutional"}
            raise NotTestable(f"no {words[kind]} layer was embedded")
        return rows

    def shape(self, kind: str) -> pd.DataFrame:
        """The distribution of ks over all layers of one kind, one row per dataset.

        Columns: dataset, name, group; in percent near_zero (|ks| < 0.01), plus (ks >= 0), minus
        (ks < 0), tail_plus (ks >= 0.5), tail_minus (ks < -0.5); size (mean |ks| from the middles
        of bins).
        """
        rows = self.of_kind(self.frames["figure6"].dropna(subset=["percent"]), kind)
        shapes = []
        for dataset, part in rows.groupby("dataset"):
            lo, hi, percent = (part[c].to_numpy(float) for c in ("lo", "hi", "percent"))
            middle = (lo + hi) / 2
            where = {
                "near_zero": np.abs(middle) < 0.01,
                "plus": middle > 0,
                "minus": middle < 0,
                "tail_plus": middle > 0.5,
                "tail_minus": middle < -0.5,
            }
            shares = {name: float(percent[inside].sum()) for name, inside in where.items()}
            size = float(np.abs(middle) @ percent / 100)
            shapes.append({"dataset": dataset, **shares, "size": size})
        return self._labelled(pd.DataFrame(shapes))

    @cached_property
    def units(self) -> pd.DataFrame:
        """One row per dataset and unit: the view ``unit_summary``."""
        return self.rows("units", "no dataset has distances")

    @cached_property
    def layer_curves(self) -> dict[int, tuple[list[str], npt.NDArray[np.float64]]]:
        """Depth -> datasets, and their distributions of ks over the layer [datasets, 200 bins]."""
        rows = self.frames["layer_distribution"]
        rows = rows[rows["labels"] == "true"]
        curves = {}
        for depth, own in rows.groupby("depth"):
            counts = own.pivot(index="dataset", columns="bin", values="n").astype(float)
            counts = counts[counts.sum(axis=1) > 0]
            shares = counts.div(counts.sum(axis=1), axis=0).to_numpy()
            curves[int(str(depth))] = [str(name) for name in counts.index], shares
        return curves

    def apart(self, depths: Sequence[int]) -> pd.DataFrame:
        """How far apart the distributions of two datasets are, layer by layer.

        Columns: one, other (datasets), apart: the mean total variation distance over ``depths``.
        """
        pairs = [
            (one, other, difference(shares[i], shares[j]))
            for depth in depths
            for datasets, shares in [self.layer_curves[depth]]
            for j, other in enumerate(datasets)
            for i, one in enumerate(datasets[:j])
        ]
        if not pairs:
            raise NotTestable("it needs two datasets or more")
        rows = pd.DataFrame(pairs, columns=["one", "other", "apart"])
        return rows.groupby(["one", "other"])["apart"].mean().reset_index()

    def tails(self, depths: Sequence[int]) -> pd.DataFrame:
        """The percent of |ks| above 0.5 over some layers: dataset, name, group, tail."""
        rows = self.frames["layer_distribution"]
        rows = rows[(rows["labels"] == "true") & rows["depth"].isin(depths)]
        far = rows["n"].where(abs(rows["lo"] + rows["hi"]) / 2 > 0.5, 0)
        sums = rows.assign(far=far).groupby("dataset")[["far", "n"]].sum()
        sums = sums[sums["n"] > 0].astype(float)
        found = pd.DataFrame({"dataset": sums.index, "tail": 100 * (sums["far"] / sums["n"])})
        return self._labelled(found.reset_index(drop=True))

    def curve(self, dataset: str, kind: str) -> npt.NDArray[np.float64]:
        """The distribution of ks, float64 [200 bins], over one kind of layer; its sum is 1."""
        rows = self.of_kind(self.frames["figure6"].dropna(subset=["percent"]), kind)
        part = rows[rows["dataset"] == dataset].sort_values("bin")
        return part["percent"].to_numpy(float) / 100

    def _labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        datasets = frame["dataset"].astype(str)
        return frame.assign(name=datasets.map(paper.canonical), group=datasets.map(self.groups.get))


def for_places(network: str) -> bool:
    """Whether the source task of a network is Places, by its name; else it is ImageNet."""
    return "places" in network.lower()


def in_groups(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of ``groups``; :class:`NotTestable` if one of them has none."""
    lacking = [group for group in groups if not (frame["group"] == group).any()]
    if lacking:
        raise NotTestable(f"there is no dataset of group {lacking[0]} ({paper.GROUPS[lacking[0]]})")
    return frame[frame["group"].isin(groups)]


def in_any_group(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of ``groups``; :class:`NotTestable` if all together have none."""
    rows = frame[frame["group"].isin(groups)]
    if rows.empty:
        raise NotTestable(f"there is no dataset of group {' or '.join(groups)}")
    return rows


def named(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of datasets by their names in the paper; :class:`NotTestable` if one is missing."""
    lacking = [name for name in names if not (frame["name"] == name).any()]
    if lacking:
        raise NotTestable(f"dataset {', '.join(lacking)} is missing")
    return frame[frame["name"].isin(names)]


def others(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of all other datasets; :class:`NotTestable` without any."""
    rows = frame[~frame["name"].isin(names)]
    if rows.empty:
        raise NotTestable("there is no other dataset to compare with")
    return rows


def rank_correlation(x: Sequence[Any] | pd.Series[Any], y: Sequence[Any] | pd.Series[Any]) -> float:
    """Spearman's correlation; NotTestable below four values or where one side is constant."""
    both = np.asarray(x, float), np.asarray(y, float)
    if len(both[0]) < 4:
        raise NotTestable(f"a correlation needs four values or more, got {len(both[0])}")
    if not all(map(np.ptp, both)):
        raise NotTestable("a correlation needs values that differ")
    first, second = (pd.Series(values).rank() for values in both)
    return float(np.corrcoef(first, second)[0, 1])


def spread(values: pd.Series[float]) -> float:
    """The coefficient of variation over two or more values."""
    if len(values) < 2:
        raise NotTestable("it needs two datasets or more")
    return float(values.std(ddof=0) / values.mean())


def difference(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """The total variation distance of two distributions: 0 for equal, 1 for disjoint ones."""
    return float(np.abs(a - b).sum() / 2)
