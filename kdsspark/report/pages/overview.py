"""The first page: what was run, and for each network its thresholds, figures and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from kdsspark.report import formats, names
from kdsspark.report.data import NetworkInfo, ReportData
from kdsspark.report.figures import FIGURES
from kdsspark.report.pages import disagreements
from kdsspark.report.pages.comparison import compare
from kdsspark.report.pages.drawing import csv, draw, draw_pair

_CLASSES_SHOWN: Final = 3  # at either end of each dataset


def sections(data: ReportData, files: dict[str, bytes]) -> list[dict[str, Any]]:
    """What the template shows of each network; adds figures and tables to ``files``."""
    return [
        _section(info, of_network(data.frames, info["name"]), data, files) for info in data.networks
    ]


def of_network(frames: Mapping[str, pd.DataFrame], network: str) -> dict[str, pd.DataFrame]:
    """The rows of one network in every frame."""
    return {name: frame[frame["network"] == network] for name, frame in frames.items()}


def _section(
    info: NetworkInfo,
    frames: dict[str, pd.DataFrame],
    data: ReportData,
    files: dict[str, bytes],
) -> dict[str, Any]:
    network, thresholds = info["name"], frames["thresholds"]
    path = names.data_file(network, "thresholds")
    files[path] = csv(thresholds)
    return {
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
        "comparison": compare(network, frames, data.frames, data.groups, files),
        "disagreements": disagreements.context(network, data.disagreements, files),
        "pairs": [draw_pair(pair, files) for pair in data.pairs if pair.network == network],
        "figures": {
            name: draw(name, frame, files, names.figure_stem(network, name))
            for name, frame in figure_frames(frames, data.groups).items()
        },
    }


def figure_frames(
    frames: Mapping[str, pd.DataFrame], groups: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """What each of ``FIGURES`` draws of a network; figures without rows are left out."""
    grouped = frames["figure6"].assign(group=frames["figure6"]["dataset"].map(dict(groups)))
    grouped = grouped[grouped["kind"] == "fc"].dropna(subset=["group", "percent"])
    found = {name: grouped if name == "figure8" else frames[name] for name in FIGURES}
    return {name: frame for name, frame in found.items() if not frame.empty}


def _with_ratio(row: dict[str, Any]) -> dict[str, Any]:
    per_class, t_plus = row["images_per_class"], row["t_plus"]
    defined = t_plus is not None and per_class
    ratio = t_plus / formats.noise_scale(per_class) if defined else None
    return {**row, "ratio": ratio, "page": names.dataset_page(row["network"], row["dataset"])}


def _extremes(classes: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Per dataset with thresholds, the classes with the most and the fewest features above t+."""
    for dataset, frame in classes.dropna(subset=["highest"]).groupby("dataset"):
        ordered = frame.sort_values(["n_plus", "class_id"], ascending=[False, True])
        rows = [{**row, "name": formats.class_name(row)} for row in formats.rows(ordered)]
        rest = rows[_CLASSES_SHOWN:]
        yield {
            "dataset": dataset,
            "page": names.dataset_page(rows[0]["network"], str(dataset)),
            "most": rows[:_CLASSES_SHOWN],
            "fewest": rest[-_CLASSES_SHOWN:],
        }
