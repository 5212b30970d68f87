"""The first page: what was run, and for each network its thresholds, figures and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from kdsspark import paper
from kdsspark.report.data import NetworkInfo, ReportData, of_network
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import formats, names
from kdsspark.report.pages.comparison import compare
from kdsspark.report.pages.disagreements import disagreeing
from kdsspark.report.pages.drawing import draw, draw_feature_class
from kdsspark.report.pages.page import Page, Part, csv, files_of

_CLASSES_SHOWN: Final = 3  # at each end of a dataset


def page(data: ReportData) -> Page:
    """The first page, with a section for each network."""
    sections = [_section(info, data) for info in data.networks]
    return Page(
        path="index.html",
        template="index.html",
        values={"sections": [section.values for section in sections], "beyond": data.beyond},
        files=files_of(*sections),
    )


def _section(info: NetworkInfo, data: ReportData) -> Part:
    network = info["name"]
    frames = of_network(data.frames, network)
    thresholds, path = frames["thresholds"], names.data_file(network, "thresholds")
    comparison = compare(network, data.frames, data.groups)
    others = disagreeing(network, data.disagreements)
    chosen = [draw_feature_class(x) for x in data.feature_classes if x.network == network]
    figures = {
        name: draw(name, frame, names.figure_stem(network, name))
        for name, frame in figure_frames(frames, data.groups).items()
    }
    values = {
        "info": info,
        "images": int(thresholds["n_images"].sum()),
        "thresholds": [_with_ratio(row) for row in formats.rows(thresholds)],
        "thresholds_csv": path,
        "counts": list(formats.rows(frames["counts"])),
        "failure_counts": list(formats.rows(frames["failure_counts"])),
        "failures": list(formats.rows(frames["failures"])),
        "classes": list(_extremes(frames["classes"])),
        "layers": [
            {**row, "page": names.layer_page(network, row["layer"])}
            for row in formats.rows(frames["layers"])
        ],
        "kinds": sorted(set(frames["figure5"]["kind"])),
        "comparison": comparison,
        "disagreements": others,
        "feature_classes": chosen,
        "figures": figures,
    }
    drawn = [*(item.drawn for item in chosen), *figures.values()]
    parts = files_of(comparison, *([others] if others else []), *drawn)
    return Part(values, {path: csv(thresholds), **parts})


def figure_frames(
    frames: Mapping[str, pd.DataFrame], groups: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """The frame that each of ``FIGURES`` draws for a network; figures without rows are absent."""
    grouped = frames["figure6"].assign(group=frames["figure6"]["dataset"].map(dict(groups)))
    grouped = grouped[grouped["kind"] == "fc"].dropna(subset=["group", "percent"])
    drawn = {name: grouped if name == "figure8" else frames[name] for name in FIGURES}
    return {name: frame for name, frame in drawn.items() if not frame.empty}


def _with_ratio(row: dict[str, Any]) -> dict[str, Any]:
    per_class, t_plus = row["images_per_class"], row["t_plus"]
    defined = t_plus is not None and per_class
    ratio = t_plus / paper.noise_scale(per_class) if defined else None
    return {**row, "ratio": ratio, "page": names.dataset_page(row["network"], row["dataset"])}


def _extremes(classes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Per dataset with thresholds, the classes with the most and the fewest features above t+."""
    for dataset, frame in classes.dropna(subset=["highest"]).groupby("dataset"):
        ordered = frame.sort_values(["n_plus", "class_id"], ascending=[False, True])
        rows = [{**row, "name": str(row["class_name"])} for row in formats.rows(ordered)]
        rest = rows[_CLASSES_SHOWN:]
        yield {
            "dataset": dataset,
            "page": names.dataset_page(rows[0]["network"], str(dataset)),
            "most": rows[:_CLASSES_SHOWN],
            "fewest": rest[-_CLASSES_SHOWN:],
        }
