"""What findings are judged by: the report's frames of one network, summed up per dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from kdsspark.paper import canonical
from kdsspark.report.frames import signs_beside


class NotTestable(Exception):  # noqa: N818  (no error: an answer)
    """The tables do not hold what a finding is about; the text says what is lacking."""


class Answer(NamedTuple):
    """Whether a finding holds, and the numbers that say so, in words."""

    holds: bool
    number: str


@dataclass(frozen=True)
class Finding:
    """One statement of the paper: its section, the statement in our words, how to judge it."""

    section: str
    text: str
    judge: Callable[[Evidence], Answer]


def finding(section: str, text: str) -> Callable[[Callable[[Evidence], Answer]], Finding]:
    """Decorator: the function judges the statement ``text`` of the paper's ``section``."""
    return lambda judge: Finding(section, text, judge)


@dataclass(frozen=True, eq=False)
class Evidence:
    """The frames of ``network`` (``frames``) and of all networks (``all_frames``), by query.

    ``groups``: dataset -> overlap with the source task: a subset, b intersects, c disjoint.
    Every frame below has one row per dataset, or per dataset and layer, and only datasets with
    distances. Datasets that are the paper's go by its names in the column ``name``.
    """

    network: str
    all_frames: Mapping[str, pd.DataFrame]
    groups: Mapping[str, str]

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The rows of the network."""
        return {
            name: frame[frame["network"] == self.network] for name, frame in self.all_frames.items()
        }

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
        """The depths of convolutional layers, from the image on."""
        rows = self.of_kind(self.layers, "conv")
        return sorted(int(depth) for depth in rows["depth"].unique())

    def convolutional(self, part: Literal["low", "high"]) -> pd.DataFrame:
        """Rows of ``layers`` of the first or the last third of the convolutional layers."""
        third = max(1, len(self.depths) // 3)
        if len(self.depths) < 3:
            raise NotTestable("needs three convolutional layers or more")
        wanted = self.depths[:third] if part == "low" else self.depths[-third:]
        return self.layers[self.layers["depth"].isin(wanted)]

    @staticmethod
    def of_kind(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
        """The rows of one kind of layer, of which there must be some."""
        rows = frame[frame["kind"] == kind]
        if rows.empty:
            words = {"fc": "fully connected", "conv": "convolutional"}
            raise NotTestable(f"no {words[kind]} layer was embedded")
        return rows

    def shape(self, kind: str) -> pd.DataFrame:
        """Per dataset, how ks of all layers of one kind is spread; in percent but ``size``.

        Columns: dataset, name, group; near_zero (|ks| < 0.01), plus (ks >= 0), minus (ks < 0),
        tail_plus (ks >= 0.5), tail_minus (ks < -0.5), size (mean |ks|, middles of bins).
        """
        rows = self.of_kind(self.frames["figure6"].dropna(subset=["percent"]), kind)
        found = []
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
            shares = {name: float(percent[some].sum()) for name, some in where.items()}
            size = float(np.abs(middle) @ percent / 100)
            found.append({"dataset": dataset, **shares, "size": size})
        return self._labelled(pd.DataFrame(found))

    def curve(self, dataset: str, kind: str) -> npt.NDArray[np.float64]:
        """The distribution of ks [200] of a dataset over one kind of layer; adds up to 1."""
        rows = self.of_kind(self.frames["figure6"].dropna(subset=["percent"]), kind)
        part = rows[rows["dataset"] == dataset].sort_values("bin")
        return part["percent"].to_numpy(float) / 100

    def _labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        datasets = frame["dataset"].astype(str)
        return frame.assign(name=datasets.map(canonical), group=datasets.map(self.groups.get))


_WORDS: Final = {"a": "a (subset of the source task)", "b": "b (intersects)", "c": "c (disjoint)"}


def in_groups(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of some groups; each of them must have some, else :class:`NotTestable`."""
    lacking = [group for group in groups if not (frame["group"] == group).any()]
    if lacking:
        raise NotTestable(f"no dataset of group {_WORDS[lacking[0]]}")
    return frame[frame["group"].isin(groups)]


def in_any_group(frame: pd.DataFrame, *groups: str) -> pd.DataFrame:
    """The rows of some groups, of which there must be any, else :class:`NotTestable`."""
    rows = frame[frame["group"].isin(groups)]
    if rows.empty:
        raise NotTestable(f"no dataset of group {' or '.join(groups)}")
    return rows


def named(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of datasets of the paper, all of which must be there, else NotTestable."""
    lacking = [name for name in names if not (frame["name"] == name).any()]
    if lacking:
        raise NotTestable(f"the dataset {', '.join(lacking)} is not here")
    return frame[frame["name"].isin(names)]


def others(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The rows of all other datasets, of which there must be some, else NotTestable."""
    rows = frame[~frame["name"].isin(names)]
    if rows.empty:
        raise NotTestable("no other dataset to compare with")
    return rows


def rank_correlation(x: Sequence[Any] | pd.Series[Any], y: Sequence[Any] | pd.Series[Any]) -> float:
    """Spearman's correlation; NotTestable for fewer than four pairs or where one side is equal."""
    from scipy.stats import spearmanr  # takes half a second to import; few commands get here

    if len(x) < 4:
        raise NotTestable(f"needs four datasets or more, got {len(x)}")
    if 1 in (len(np.unique(x)), len(np.unique(y))):
        raise NotTestable("all classes are of one size")
    return float(spearmanr(x, y).statistic)


def spread(values: pd.Series[float]) -> float:
    """The coefficient of variation over two or more values."""
    if len(values) < 2:
        raise NotTestable("needs two datasets or more")
    return float(values.std(ddof=0) / values.mean())


def difference(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """The total variation distance of two distributions: 0 for equal, 1 for disjoint ones."""
    return float(np.abs(a - b).sum() / 2)
