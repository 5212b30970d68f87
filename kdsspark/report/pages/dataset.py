"""The page of one dataset by one network: its thresholds and its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pandas as pd

from kdsspark.report.data import NetworkInfo
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.pages import class_table
from kdsspark.report.parts import cards, class_map, names
from kdsspark.report.parts.drawing import Figures, Wanted
from kdsspark.report.parts.page import Page, files_of

_FIGURES: Final = ("figure9", "figure5")
_ROWS: Final = 60  # classes with pictures: two megabytes are the most that a page loads


def figures(row: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> list[Wanted]:
    """The figures of the page of the dataset in ``row``, without those that have no rows."""
    own = _own(row, frames)
    return [
        Wanted(name, own[name], _stem(row, name), to_take=False)
        for name in _FIGURES
        if not own[name].empty
    ]


def page(
    info: NetworkInfo,
    row: dict[str, Any],
    frames: Mapping[str, pd.DataFrame],
    galleries: Sequence[Gallery],
    drawn: Figures,
    of_pixels: pd.DataFrame,
) -> Page:
    """The page of the dataset in ``row``, a row of the query ``thresholds``.

    ``frames`` and ``galleries`` are those of its network. ``drawn`` has its :func:`figures`.
    ``of_pixels``: rows of ``class_extremes`` of the architecture ``pixels``, for another network's
    units to be seen beside.
    """
    network, dataset = str(row["network"]), str(row["dataset"])
    (gallery,) = (gallery for gallery in galleries if gallery.dataset == dataset)
    table = class_table.make(
        info,
        _own(row, frames),
        cards.unit_pages(galleries),
        of_pixels[of_pixels["dataset"] == dataset],
        names.data_file(network, "classes", dataset),
    )
    figures = {name: drawn[_stem(row, name)] for name in _FIGURES if _stem(row, name) in drawn}
    rows, note = _rows(gallery)
    alike = class_map.draw(gallery, names.figure_stem(network, "map", dataset))
    return Page(
        path=names.dataset_page(network, dataset),
        template="dataset.html",
        values={
            "info": info,
            "row": row,
            "classes": table,
            "figures": figures,
            "rows": rows,
            "rows_note": note,
            "map": alike,
        },
        files=files_of(table, *figures.values(), *([alike] if alike else [])),
    )


def _own(row: dict[str, Any], frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {
        name: frame[frame["dataset"] == row["dataset"]]
        for name, frame in frames.items()
        if "dataset" in frame
    }


def _stem(row: dict[str, Any], name: str) -> str:
    return names.figure_stem(row["network"], name, row["dataset"])


def _rows(gallery: Gallery) -> tuple[list[dict[str, Any]], str]:
    """The classes in the order of the map, each with the unit that tells it best."""
    order = [c for c in gallery.order if c in gallery.by_id]
    rows = []
    for c in order[:_ROWS]:
        shown = gallery.by_id[c]
        best = cards.card(gallery, c, shown.present[0]) if shown.present else None
        rows.append(
            {
                **cards.class_link(gallery, c),
                "tiles": cards.tiles(shown, 3),
                "n_images": shown.n_images,
                "n_plus": shown.n_plus,
                "n_minus": shown.n_minus,
                "best": best,
            }
        )
    more = len(order) - len(rows)
    return rows, f"{more:,} more classes are in the table below." if more else ""
