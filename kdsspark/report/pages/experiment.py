"""The page of one experiment by one network: what the paper says, a figure, numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kdsspark.report.data import NetworkInfo, ReportData, of_network
from kdsspark.report.experiment_queries import EXPERIMENT_QUERIES
from kdsspark.report.experiments import SHOWN
from kdsspark.report.experiments.shown import Frames, Picture, Shown
from kdsspark.report.parts import grid, names
from kdsspark.report.parts.drawing import Figures, Wanted
from kdsspark.report.parts.page import Page, files_of


def of(network: str, data: ReportData) -> dict[str, Frames]:
    """The experiments that have rows of a network, in their order, with the rows of each query."""
    own = of_network(data.experiments, network)
    return {name: own for name in SHOWN if name in own and len(own[name])}


def links(network: str, data: ReportData) -> list[dict[str, str]]:
    """What leads to the experiments of a network: title and page."""
    return [
        {"title": SHOWN[name].title, "page": names.experiment_page(network, name)}
        for name in of(network, data)
    ]


def figures(network: str, data: ReportData) -> Iterator[Wanted]:
    """The figures of the experiments of a network that have something to draw."""
    for name, frames in of(network, data).items():
        for picture in SHOWN[name].pictures:
            drawn = picture.drawn(frames[picture.query])
            if len(drawn):
                yield Wanted(picture.name, drawn, _stem(network, picture))


def pages(info: NetworkInfo, data: ReportData, drawn: Figures) -> Iterator[Page]:
    """A page for every experiment that has rows of the network."""
    network = info["name"]
    others = links(network, data)
    for name, frames in of(network, data).items():
        yield _page(info, SHOWN[name], frames, drawn, others)


def _page(
    info: NetworkInfo,
    shown: Shown,
    frames: Frames,
    drawn: Figures,
    others: Sequence[dict[str, str]],
) -> Page:
    network = info["name"]
    own = {picture.name: drawn.get(_stem(network, picture)) for picture in shown.pictures}
    pictures = [
        {"shown": one, "drawn": own[one.name], "query": EXPERIMENT_QUERIES[one.query]}
        for one in shown.pictures
    ]
    grids = [
        grid.make(
            numbers.caption,
            numbers.columns,
            numbers.rows(frames),
            names.data_file(network, "experiment", shown.name, str(number)),
        )
        for number, numbers in enumerate(shown.numbers, start=1)
    ]
    path = names.experiment_page(network, shown.name)
    values: dict[str, Any] = {
        "info": info,
        "shown": shown,
        "pictures": pictures,
        "grids": grids,
        "others": [other for other in others if other["page"] != path],
    }
    figures = [made for made in own.values() if made]
    return Page(
        path=path, template="experiment.html", values=values, files=files_of(*grids, *figures)
    )


def _stem(network: str, picture: Picture) -> str:
    return names.figure_stem(network, "experiment", picture.name)
