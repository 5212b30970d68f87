"""What the report is made of: plain data, gathered by the pipeline and drawn by the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import pandas as pd


class Run(TypedDict):
    """When and with what the tables were computed."""

    when: str  # for people, e.g. "2024-03-01 12:30 UTC"
    duration_s: float  # seconds that tasks spent, all together
    versions: Mapping[str, str]  # kdsspark, python, pyspark, torch, numpy -> version
    configuration: str  # YAML, printed as it is: leave secrets out


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


@dataclass(frozen=True, eq=False)
class Pair:
    """One (feature, class) pair, to be drawn as figure 1 of the paper.

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

    ``pairs``: the result of ``DISAGREEMENTS``. ``bins``: of those that are drawn a row per bin,
    with the columns of ``pairs``, and lo, hi, inner, outer as in :class:`Pair`.
    """

    pairs: pd.DataFrame
    bins: pd.DataFrame


@dataclass(frozen=True)
class ReportData:
    """All that the report shows.

    ``frames``: the result of every query of ``QUERIES``, by name. ``groups``: dataset -> the
    group it is configured in; datasets without one are absent. ``disagreements``: None where no
    other distances were asked for.
    """

    run: Run
    networks: Sequence[NetworkInfo]
    frames: Mapping[str, pd.DataFrame]
    groups: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    disagreements: Disagreements | None = None
    beyond: Sequence[str] = ()  # sentences about what the output holds of other configurations
