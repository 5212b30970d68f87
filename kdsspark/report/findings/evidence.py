"""The evidence for findings: the report's frames of one network, summarized for each dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import spearmanr

from kdsspark import paper
from kdsspark.report.data import of_network, signs_beside


class NotTestable(Exception):  # noqa: N818  (no error: an answer)
    """The tables lack what a finding is about; the text names it."""


class Answer(NamedTuple):
    """Whether a finding holds, and the numbers that show it, as text."""

    holds: bool
    number: str


@dataclass(frozen=True)
class Finding:
    """One statement of the paper: its section, its text in our words, and how to judge it."""

    section: str
    text: str
    judge: Callable[[Evidence], Answer]


def finding(section: str, text: str) -> Callable[[Callable[[Evidence], Answer]], Finding]:
    """Decorator: the function judges the statement ``text`` of the paper's ``section``."""
    return lambda judge: Finding(section, text, judge)


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

    def convolutional(self, part: Literal["low", "high"]) -> pd.DataFrame:
        """Rows of ``layers`` for the first or the last third of the convolutional layers."""
        third = max(1, len(self.depths) // 3)
        if len(self.depths) < 3:
            raise NotTestable("needs three convolutional layers or more")
        wanted = self.depths[:third] if part == "low" else self.depths[-third:]
        return self.layers[self.layers["depth"].isin(wanted)]

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

    def curve(self, dataset: str, kind: str) -> npt.NDArray[np.float64]:
        """The distribution of ks, float64 [200 bins], over one kind of layer; its sum is 1."""
        rows = self.of_kind(self.frames["figure6"].dropna(subset=["percent"]), kind)
        part = rows[rows["dataset"] == dataset].sort_values("bin")
        return part["percent"].to_numpy(float) / 100

    def _labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        datasets = frame["dataset"].astype(str)
        return frame.assign(name=datasets.map(paper.canonical), group=datasets.map(self.groups.get))


def in_groups(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of ``groups``; :class:`NotTestable` if one of them has none."""
    lacking = [group for group in groups if not (frame["group"] == group).any()]
    if lacking:
        raise NotTestable(f"no dataset of group {lacking[0]} ({paper.GROUPS[lacking[0]]})")
    return frame[frame["group"].isin(groups)]


def in_any_group(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of ``groups``; :class:`NotTestable` if all together have none."""
    rows = frame[frame["group"].isin(groups)]
    if rows.empty:
        raise NotTestable(f"no dataset of group {' or '.join(groups)}")
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
        raise NotTestable("no other dataset to compare with")
    return rows


def rank_correlation(x: Sequence[Any] | pd.Series[Any], y: Sequence[Any] | pd.Series[Any]) -> float:
    """Spearman's correlation; NotTestable below four values or where one side is constant."""
    both = np.asarray(x, float), np.asarray(y, float)
    if len(both[0]) < 4:
        raise NotTestable(f"a correlation needs four values or more, got {len(both[0])}")
    if not all(map(np.ptp, both)):
        raise NotTestable("a correlation needs values that differ")
    return float(spearmanr(*both).statistic)


def spread(values: pd.Series[float]) -> float:
    """The coefficient of variation over two or more values."""
    if len(values) < 2:
        raise NotTestable("needs two datasets or more")
    return float(values.std(ddof=0) / values.mean())


def difference(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """The total variation distance of two distributions: 0 for equal, 1 for disjoint ones."""
    return float(np.abs(a - b).sum() / 2)
