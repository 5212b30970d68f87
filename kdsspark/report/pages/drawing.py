"""Files of figures: SVG, PNG and the exact data, side by side."""

from __future__ import annotations

import math
from typing import TypedDict

import pandas as pd
from matplotlib.figure import Figure

from kdsspark.report import canvas, names
from kdsspark.report.data import Pair
from kdsspark.report.figures import FIGURES, disagreement, figure1, figure_data
from kdsspark.report.figures.pair import pair_curves, pair_distance


class Drawn(TypedDict):
    """A figure on a page: its files without suffix, relative to the report, and its CSS class."""

    stem: str
    size: str


class DrawnPair(TypedDict):
    """Figure 1 of one pair, and what it says."""

    drawn: Drawn
    pair: Pair
    ks: float | None  # None where one side has no image


def csv(frame: pd.DataFrame) -> bytes:
    """The frame as CSV in UTF-8; numbers as short as they can be and still exact."""
    return frame.to_csv(index=False, lineterminator="\n").encode()


def draw(
    name: str, frame: pd.DataFrame, files: dict[str, bytes], stem: str, data: bool = True
) -> Drawn:
    """Draw one of ``FIGURES``; with ``data`` the CSV of what it shows, too."""
    if data:
        files[f"{stem}.csv"] = csv(figure_data(name, frame))
    return _save(FIGURES[name](frame), files, stem)


def draw_pair(pair: Pair, files: dict[str, bytes]) -> DrawnPair:
    """Draw figure 1 of a pair, with its densities and cumulative curves as CSV."""
    which = "\0".join([pair.dataset, pair.layer, str(pair.unit), pair.class_name])
    stem = names.figure_stem(pair.network, "figure1", which)
    files[f"{stem}.csv"] = csv(pair_curves(pair.bins))
    drawn = _save(figure1(pair.bins, f"{pair.layer}, unit {pair.unit}"), files, stem)
    ks, _ = pair_distance(pair.bins)
    return {"drawn": drawn, "pair": pair, "ks": None if math.isnan(ks) else ks}


def draw_disagreement(bins: pd.DataFrame, files: dict[str, bytes]) -> Drawn:
    """Draw the pairs of one network and distance, with their histograms as CSV."""
    network, distance = (str(bins[column].iloc[0]) for column in ("network", "distance"))
    stem = names.figure_stem(network, "disagreement", distance)
    files[f"{stem}.csv"] = csv(bins)
    return _save(disagreement(bins), files, stem)


def _save(figure: Figure, files: dict[str, bytes], stem: str) -> Drawn:
    files[f"{stem}.svg"] = canvas.svg(figure)
    figure.set_layout_engine("none")  # the panels stay where the SVG has them
    files[f"{stem}.png"] = canvas.png(figure)
    return {"stem": stem, "size": "narrow" if figure.get_figwidth() < canvas.WIDTH else "wide"}
