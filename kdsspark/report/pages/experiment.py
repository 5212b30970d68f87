"""The page of one experiment by one network: what the paper says, a figure, numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from kdsspark.report.data import NetworkInfo, ReportData, of_network
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.experiments import SHOWN
from kdsspark.report.experiments.shown import Shown
from kdsspark.report.parts import grid, names
from kdsspark.report.parts.drawing import Figures, Wanted
from kdsspark.report.parts.page import Page, files_of


def of(network: str, data: ReportData) -> dict[str, pd.DataFrame]:
    """The experiments that have rows of a network, in their order, with these rows."""
    own = of_network(data.experiments, network)
    return {name: own[name] for name in SHOWN if name in own and len(own[name])}


def links(network: str, data: ReportData) -> list[dict[str, str]]:
    """What leads to the experiments of a network: title and page."""
    return [
        {"title": SHOWN[name].title, "page": names.experiment_page(network, name)}
        for name in of(network, data)
    ]


def figures(network: str, data: ReportData) -> Iterator[Wanted]:
    """The figures of the experiments of a network that have something to draw."""
    for name, frame in of(network, data).items():
        drawn = SHOWN[name].drawn(frame)
        if len(drawn):
            yield Wanted(name, drawn, _stem(network, name))


def pages(info: NetworkInfo, data: ReportData, drawn: Figures) -> Iterator[Page]:
    """A page for every experiment that has rows of the network."""
    network = info["name"]
    others = links(network, data)
    for name, frame in of(network, data).items():
        yield _page(info, SHOWN[name], frame, drawn, others)


def _page(
    info: NetworkInfo,
    shown: Shown,
    frame: pd.DataFrame,
    drawn: Figures,
    others: Sequence[dict[str, str]],
) -> Page:
    network = info["name"]
    figure = drawn.get(_stem(network, shown.name))
    grids = [
        grid.make(
            numbers.caption,
            numbers.columns,
            numbers.rows(frame),
            names.data_file(network, "experiment", shown.name, str(number)),
        )
        for number, numbers in enumerate(shown.numbers, start=1)
    ]
    path = names.experiment_page(network, shown.name)
    values: dict[str, Any] = {
        "info": info,
        "shown": shown,
        "query": EXPERIMENT_QUERIES[shown.name],
        "figure_drawn": figure,
        "grids": grids,
        "others": [other for other in others if other["page"] != path],
    }
    files = files_of(*grids, *([figure] if figure else []))
    return Page(path=path, template="experiment.html", values=values, files=files)


def _stem(network: str, name: str) -> str:
    return names.figure_stem(network, "experiment", name)
