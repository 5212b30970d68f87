"""The files of a figure: SVG, PNG and the exact data, side by side."""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import connection, forkserver
from typing import TYPE_CHECKING, Final

import pandas as pd

from kdsspark.report.data import FeatureClass
from kdsspark.report.experiments import PICTURES
from kdsspark.report.figures import FIGURES, canvas, disagreement, figure1, figure_data
from kdsspark.report.figures.feature_class import curves_of, distance_of
from kdsspark.report.parts import names
from kdsspark.report.parts.page import Files, csv

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


@dataclass(frozen=True, eq=False)
class Wanted:
    """A figure to draw under the path ``stem``: one of ``FIGURES``, or that of an experiment.

    ``to_take``: also as PNG, and its data as CSV, for papers and slides; else as SVG alone.
    """

    name: str
    frame: pd.DataFrame
    stem: str
    to_take: bool = True


Figures = Mapping[str, Drawn]
"""Path without suffix -> the figure. Who asks for one waits until it is drawn."""

_IMPORTED_FIRST: Final = (
    __name__,
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
)
_FEW: Final = 12
"""Fewer figures are drawn by this process: others take two seconds to start."""


def draw(wanted: Wanted) -> Drawn:
    """Draw one figure."""
    data = figure_data(wanted.name, wanted.frame) if wanted.to_take else None
    name = wanted.name
    function = FIGURES[name] if name in FIGURES else PICTURES[name].figure
    return _drawn(function(wanted.frame), wanted.stem, data)


@contextmanager
def drawn_beside(wanted: Iterable[Wanted], processes: int) -> Iterator[Figures]:
    """Draw figures, each of which keeps a core busy for a quarter of a second, beside the block.

    Many are drawn in their order by ``processes`` of their own; few, or without processes, when
    they are asked for. The processes are forked from one that has imported Matplotlib, and not from
    the driver, because that runs threads.
    """
    figures = list(wanted)
    if not processes or not are_many(figures):
        yield _Awaited({one.stem: cache(partial(draw, one)) for one in figures})
        return
    begin_to_import()
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("forkserver"), _begin)
    try:
        yield _Awaited({one.stem: pool.submit(draw, one).result for one in figures})
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Awaited(Mapping[str, Drawn]):
    """Figures that are waited for when they are asked for."""

    results: Mapping[str, Callable[[], Drawn]]

    def __getitem__(self, stem: str) -> Drawn:
        return self.results[stem]()

    def __contains__(self, stem: object) -> bool:
        return stem in self.results

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)


def are_many(figures: Sequence[Wanted]) -> bool:
    """Whether processes of their own draw the figures."""
    return len(figures) >= _FEW


def begin_to_import() -> None:
    """Start the process from which those that draw are forked; it imports for a second first."""
    forkserver.set_forkserver_preload(list(_IMPORTED_FIRST))
    forkserver.ensure_running()


def _begin() -> None:
    """What a process that draws does first: it will end when the driver does."""
    threading.Thread(target=_end_with_the_driver, daemon=True).start()


def _end_with_the_driver() -> None:
    driver = multiprocessing.parent_process()
    assert driver is not None, "runs in processes that draw"
    connection.wait([driver.sentinel])
    os._exit(1)


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
    canvas.settle(figure)
    files = {f"{stem}.svg": canvas.svg(figure)}
    if data is not None:
        files |= {f"{stem}.png": canvas.png(figure), f"{stem}.csv": csv(data)}
    return Drawn(stem, size, files)
