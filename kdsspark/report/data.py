"""The report's input: plain data. The stage gathers it, and the pages draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import pandas as pd

from kdsspark import pixels
from kdsspark.report.gallery.gallery import Gallery


class RunInfo(TypedDict):
    """When and with what the tables were computed."""

    when: str  # for people, e.g. "2024-03-01 12:30 UTC"
    duration_s: float  # of all tasks together
    versions: Mapping[str, str]  # kdsspark, python, pyspark, torch, numpy -> version
    configuration: str  # YAML without secrets: the page prints it unchanged


class NetworkInfo(TypedDict):
    """One source network; None where it does not apply (ready-made embeddings)."""

    name: str
    architecture: str | None
    weights: str | None  # as named in the configuration
    random: bool  # whether the weights were drawn, not trained
    layers: int
    features: int
    crops: str | None
    precision: str | None
    activation: str | None
    pooling: str | None
    preprocessing: str | None  # in words


class ComputedOn(TypedDict):
    """How many images of a pair were embedded on one kind of processor."""

    network: str
    dataset: str
    computed_on: str
    images: int


@dataclass(frozen=True, eq=False)
class FeatureClass:
    """One feature and class, to be drawn as figure 1 of the paper.

    ``bins`` has a row per bin of the feature's range: lo, hi (its edges, in units of the
    activation), inner, outer (numbers of images).
    """

    network: str
    dataset: str
    layer: str
    unit: int
    class_name: str
    bins: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Disagreements:
    """Where other distances disagree most with ks.

    ``extremes``: the result of ``DISAGREEMENTS``. ``bins``: those of its rows that are drawn, each
    repeated for every bin, with the bin's lo, hi, inner, outer as in :class:`FeatureClass`.
    """

    extremes: pd.DataFrame
    bins: pd.DataFrame


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows.

    ``frames``: the result of every query of ``QUERIES``, by name; also ``rest`` (network, dataset,
    layer, unit, class_id, ks, own, rest: where the class and all others have their medians, as
    shares of the feature's range, for the lowest distances) and ``sizes`` (network, layer, neurons,
    parameters). ``groups``: dataset -> its group in the configuration; datasets without a group are
    absent. ``disagreements``: None unless the configuration asks for other distances.
    ``experiments`` has those whose tables are there.
    """

    run: RunInfo
    networks: Sequence[NetworkInfo]
    frames: Mapping[str, pd.DataFrame]
    groups: Mapping[str, str] = field(default_factory=dict)
    feature_classes: Sequence[FeatureClass] = ()
    disagreements: Disagreements | None = None
    galleries: Sequence[Gallery] = ()  # of every network and dataset
    filters: Mapping[str, bytes] = field(default_factory=dict)  # network -> a picture
    experiments: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # query -> its rows
    beyond: Sequence[str] = ()  # sentences about what the output holds of other configurations
    computed_on: Sequence[ComputedOn] = ()
    mixtures: Sequence[str] = ()  # sentences about pairs that mix kinds of processors


def of_pixels(data: ReportData, beside: NetworkInfo) -> pd.DataFrame:
    """The rows of ``class_extremes`` of the architecture ``pixels``, if that is not ``beside``."""
    names = {i["name"] for i in data.networks if i["architecture"] == pixels.ARCHITECTURE}
    rows = data.frames["class_extremes"]
    return rows[rows["network"].isin(names - {beside["name"]})]


def of_network(frames: Mapping[str, pd.DataFrame], network: str) -> dict[str, pd.DataFrame]:
    """The rows of one network in every frame."""
    return {name: frame[frame["network"] == network] for name, frame in frames.items()}


def signs_beside(rows: pd.DataFrame, index: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """One row per ``index`` with the values of both signs: v_plus and v_minus, NaN where absent."""
    indexed = rows.set_index(list(index))
    beside = {
        f"{value}_{name}": indexed.loc[indexed["sign"] == sign, value].astype(float)
        for value in values
        for sign, name in (("+", "plus"), ("-", "minus"))
    }
    return pd.DataFrame(beside).reset_index(names=list(index))
