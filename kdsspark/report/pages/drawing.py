"""The files of a figure: SVG, PNG and the exact data, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from kdsspark.report.data import FeatureClass
from kdsspark.report.figures import FIGURES, canvas, disagreement, figure1, figure_data
from kdsspark.report.figures.feature_class import curves_of, distance_of
from kdsspark.report.pages import names
from kdsspark.report.pages.page import Files, csv


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure on a page: the path of its files without suffix, its CSS class, and the files."""

    stem: str
    size: str
    files: Files


@dataclass(frozen=True, eq=False)
class DrawnFeatureClass:
    """Figure 1 of one feature and class, and its signed distance."""

    drawn: Drawn
    shown: FeatureClass
    ks: float | None  # None where one side has no image


def draw(name: str, frame: pd.DataFrame, stem: str, data: bool = True) -> Drawn:
    """Draw one of ``FIGURES``; with ``data``, add the CSV of what it shows."""
    return _drawn(FIGURES[name](frame), stem, figure_data(name, frame) if data else None)


def draw_feature_class(shown: FeatureClass) -> DrawnFeatureClass:
    """Draw figure 1, with its densities and cumulative curves as CSV."""
    which = "\0".join([shown.dataset, shown.layer, str(shown.unit), shown.class_name])
    figure = figure1(shown.bins, f"{shown.layer}, unit {shown.unit}")
    stem = names.figure_stem(shown.network, "figure1", which)
    ks, _ = distance_of(shown.bins)
    drawn = _drawn(figure, stem, curves_of(shown.bins))
    return DrawnFeatureClass(drawn, shown, None if math.isnan(ks) else ks)


def draw_disagreement(bins: pd.DataFrame) -> Drawn:
    """Draw the extremes of one network and distance, with their histograms as CSV."""
    network, name = (str(bins[column].iloc[0]) for column in ("network", "distance"))
    return _drawn(disagreement(bins), names.figure_stem(network, "disagreement", name), bins)


def _drawn(figure: Figure, stem: str, data: pd.DataFrame | None) -> Drawn:
    size = "narrow" if figure.get_figwidth() < canvas.WIDTH else "wide"
    files = {} if data is None else {f"{stem}.csv": csv(data)}
    files[f"{stem}.svg"] = canvas.svg(figure)
    figure.set_layout_engine("none")  # the panels stay where the SVG has them
    files[f"{stem}.png"] = canvas.png(figure)
    return Drawn(stem, size, files)
