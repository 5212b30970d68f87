"""The first page, what was run, and for each network the figures and findings of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from kdsspark import paper
from kdsspark.report.data import NetworkInfo, ReportData, of_network
from kdsspark.report.figures import FIGURES
from kdsspark.report.findings import findings
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.pages import experiment, unit_figures
from kdsspark.report.pages.comparison import compare
from kdsspark.report.pages.disagreements import disagreeing
from kdsspark.report.parts import cards, formats, names
from kdsspark.report.parts.drawing import Figures, Wanted, draw_feature_class
from kdsspark.report.parts.page import Page, csv, files_of

_CLASSES_SHOWN: Final = 3  # at each end of a dataset
_BEST: Final = 5  # classes of a dataset on the first page
_LAYER_TILES: Final = 5


def page(data: ReportData) -> Page:
    """The first page, with a section for each network."""
    sections = [_section(info, data) for info in data.networks]
    failed = sum(int(section["failed"]) for section in sections)
    return Page(
        path="index.html",
        template="index.html",
        values={"sections": sections, "beyond": data.beyond, "failed": failed},
        files={},
    )


def about(data: ReportData) -> Page:
    """What was run: networks, images, failures, versions, configuration."""
    sections = []
    for info in data.networks:
        frames = of_network(data.frames, info["name"])
        rows = ("counts", "failure_counts", "failures")
        sections.append({"info": info} | {name: list(formats.rows(frames[name])) for name in rows})
    values = {
        "sections": sections,
        "beyond": data.beyond,
        "computed_on": data.computed_on,
        "mixtures": data.mixtures,
    }
    return Page(path="about.html", template="about.html", values=values, files={})


def figures(network: str, data: ReportData) -> list[Wanted]:
    """The figures of the paper that a network has rows for."""
    frames = figure_frames(of_network(data.frames, network), data.groups)
    return [Wanted(n, frame, names.figure_stem(network, n)) for n, frame in frames.items()]


def paper_pages(data: ReportData, drawn: Figures) -> Iterator[Page]:
    """For each network the tables, figures and findings of the paper; ``drawn``: its figures."""
    judged = {
        info["name"]: findings(info["name"], data.frames, data.groups) for info in data.networks
    }
    for info in data.networks:
        yield _paper(info, data, drawn, judged)


def _section(info: NetworkInfo, data: ReportData) -> dict[str, Any]:
    network = info["name"]
    frames = of_network(data.frames, network)
    own = {gallery.dataset: gallery for gallery in cards.several(data.galleries, network)}
    rows = list(formats.rows(frames["thresholds"]))
    layers = list(formats.rows(frames["layers"]))
    return {
        "info": info,
        "images": sum(row["n_images"] for row in rows),
        "failed": int(frames["counts"]["failed"].sum()),
        "thresholds": [_with_page(row) for row in rows],
        "datasets": [
            _dataset(row, own.get(row["dataset"]), data.groups.get(row["dataset"]))
            for row in sorted(rows, key=lambda row: -row["n_images"])
        ],
        "layers": [_layer(network, row, list(own.values())) for row in layers],
        "paper": names.paper_page(network),
        "experiments": experiment.links(network, data),
    }


def _dataset(row: dict[str, Any], gallery: Gallery | None, group: str | None) -> dict[str, Any]:
    """A dataset, and its classes that single units tell best, by units of different layers."""
    best: list[dict[str, Any]] = []
    if gallery is not None:
        for c, feature in _best(gallery):
            best.append(
                {
                    "class": cards.class_link(gallery, c),
                    "tiles": cards.tiles(gallery.by_id[c], 3),
                    "unit": cards.card(gallery, c, feature),
                }
            )
    return {
        "name": row["dataset"],
        "page": names.dataset_page(row["network"], row["dataset"]),
        "n_images": row["n_images"],
        "n_classes": row["n_classes"],
        "t_plus": row["t_plus"],
        "group": group,
        "best": best,
    }


def _best(gallery: Gallery) -> list[tuple[int, int]]:
    """The classes that single units tell best, with the unit: one of the upper layers, if any.

    The patches of the first layers are a few pixels, which tell a reader little.
    """
    depth = {layer.name: layer.depth for layer in gallery.layers}
    found = []
    for shown in gallery.classes:
        upper = [
            f for f in shown.present if 3 * depth[gallery.unit_of(f)[0]] >= len(depth)
        ] or list(shown.present)
        if upper:
            found.append((-float(gallery.ks[shown.class_id, upper[0]]), shown.class_id, upper[0]))
    return [(c, feature) for _, c, feature in sorted(found)[:_BEST]]


def _layer(network: str, row: dict[str, Any], galleries: Sequence[Gallery]) -> dict[str, Any]:
    sheet = next((g.sheets[row["layer"]] for g in galleries if row["layer"] in g.sheets), None)
    tiles = []
    if sheet is not None:
        n = len(sheet.features)
        tiles = [
            {"src": sheet.path, "at": cards.at(i, n), "alt": ""}
            for i in range(min(_LAYER_TILES, n))
        ]
    return {**row, "page": names.layer_page(network, row["layer"]), "tiles": tiles}


def _paper(
    info: NetworkInfo, data: ReportData, drawn: Figures, judged: Mapping[str, pd.DataFrame]
) -> Page:
    network = info["name"]
    frames = of_network(data.frames, network)
    thresholds, path = frames["thresholds"], names.data_file(network, "thresholds")
    comparison = compare(network, data.frames, judged)
    own_galleries = cards.several(data.galleries, network)
    pages = cards.unit_pages(own_galleries)
    others = disagreeing(network, data.disagreements, pages)
    chosen = [draw_feature_class(x) for x in data.feature_classes if x.network == network]
    stems = {name: names.figure_stem(network, name) for name in FIGURES}
    own = {name: drawn[stem] for name, stem in stems.items() if stem in drawn}
    section = {
        "info": info,
        "thresholds": [_with_ratio(row) for row in formats.rows(thresholds)],
        "thresholds_csv": path,
        "classes": list(_extremes(frames["classes"])),
        "kinds": sorted(set(frames["figure5"]["kind"])),
        "comparison": comparison,
        "disagreements": others,
        "unit_figures": unit_figures.figures(own_galleries),
        "feature_classes": chosen,
        "figures": own,
    }
    shown = [*(item.drawn for item in chosen), *own.values()]
    parts = files_of(comparison, *([others] if others else []), *shown)
    return Page(
        path=names.paper_page(network),
        template="paper.html",
        values={"section": section},
        files={path: csv(thresholds), **parts},
    )


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
    return _with_page(row) | {"ratio": ratio}


def _with_page(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"page": names.dataset_page(row["network"], row["dataset"])}


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
