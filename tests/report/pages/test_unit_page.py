"""The page of a unit: what excites it, and what it tells in every dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from kdsspark.report.data import NetworkInfo, ReportData
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.pages import unit_page
from kdsspark.report.parts import cards, names
from kdsspark.report.parts.page import Page as Made
from kdsspark.report.site import environment
from tests.report.html import Page, words
from tests.report.synthetic import Study, make_report


@pytest.fixture
def own(report: ReportData) -> list[Gallery]:
    """The galleries of VGG16."""
    return cards.several(report.galleries, "vgg16")


def made(report: ReportData, own: list[Gallery]) -> dict[int, Made]:
    pages = unit_page.pages(report.networks[0], own)
    return {page.values["feature"]: page for page in pages}


def of(page: Made, dataset: str) -> dict[str, Any]:
    (found,) = (part for part in page.values["datasets"] if part["name"] == dataset)
    return dict(found)


def test_every_unit_drawn_for_a_dataset_has_one_page(
    report: ReportData, own: list[Gallery], files: dict[str, bytes]
) -> None:
    pages = made(report, own)
    assert sorted(pages) == sorted({f for gallery in own for f in gallery.units})
    assert {page.path for page in pages.values()} <= set(files)
    for feature, page in pages.items():
        with_it = [gallery.dataset for gallery in own if feature in gallery.units]
        assert [part["name"] for part in page.values["datasets"]] == with_it
        assert [part["name"] for part in page.values["corpora"]] == with_it


def test_its_highest_and_lowest_classes(report: ReportData, own: list[Gallery]) -> None:
    gallery = next(g for g in own if g.dataset == "birds")
    pages = made(report, own)
    for feature in gallery.units:
        part, ks = of(pages[feature], "birds"), gallery.ks[:, feature]
        order = np.argsort(-ks, kind="stable")
        high, low = ([gallery.by_id[int(c)].name for c in end] for end in (order, order[::-1]))
        n_high, n_low = int((ks > 0).sum()), int((ks < 0).sum())
        assert [row["name"] for row in part["high"]] == high[: min(5, n_high)]
        assert [row["name"] for row in part["low"]] == low[: min(5, n_low)]
        assert part["n_plus"] == sum(float(x) > gallery.t_plus for x in ks)
        assert part["n_minus"] == sum(float(x) < gallery.t_minus for x in ks)
        assert part["n_classes"] == 12
        ranks = rankdata(-np.abs(gallery.ks), method="ordinal", axis=1)[:, feature]
        ids = {shown.name: c for c, shown in gallery.by_id.items()}
        for row in (*part["high"], *part["low"]):
            c = ids[row["name"]]
            assert (row["ks"], row["rank"], row["q"]) == (float(ks[c]), ranks[c], 0.5)
        ends = [rows[0]["name"] for rows in (part["high"], part["low"]) if rows]
        assert [shown["name"] for shown in part["curves"]] == ends


@pytest.mark.parametrize(
    ("thresholds", "beyond"), [((0.0, -0.0), "some"), ((None, None), "none"), ((1.0, -1.0), "none")]
)
def test_a_threshold_of_0_is_a_threshold(
    report: ReportData,
    own: list[Gallery],
    thresholds: tuple[float | None, float | None],
    beyond: str,
) -> None:
    gallery = next(g for g in own if g.dataset == "birds")
    t_plus, t_minus = thresholds
    changed = replace(gallery, t_plus=t_plus, t_minus=t_minus)
    pages = made(report, [changed])
    assert pages.keys() == gallery.units.keys()
    for feature, page in pages.items():
        part, ks = of(page, "birds"), gallery.ks[:, feature]
        counts = (int((ks > 0).sum()), int((ks < 0).sum())) if beyond == "some" else (0, 0)
        assert (part["n_plus"], part["n_minus"]) == counts


def test_one_corpus_of_several_datasets_is_shown_once(
    report: ReportData, own: list[Gallery]
) -> None:
    feature = next(iter(set(own[0].units) & set(own[1].units)))
    same = [
        replace(g, units={f: replace(unit, corpus="all") for f, unit in g.units.items()})
        for g in own[:2]
    ]
    page = made(report, same)[feature]
    assert [part["name"] for part in page.values["corpora"]] == ["all"]
    assert len(page.values["datasets"]) == 2


def test_neighbours_are_the_units_drawn_of_its_layer(
    report: ReportData, own: list[Gallery]
) -> None:
    pages = made(report, own)
    for layer in own[0].layers:
        drawn = [f for f in sorted(pages) if layer.first <= f < layer.first + layer.units]
        beside = [pages[f].values["beside"] for f in drawn]
        linked = [f"{layer.name} \u00b7 {f - layer.first}" for f in drawn]
        assert [b[0] and b[0]["name"] for b in beside] == [None, *linked[:-1]]
        assert [b[1] and b[1]["name"] for b in beside] == [*linked[1:], None]


def test_dead_units_are_called_dead_and_show_no_patches(
    report: ReportData, own: list[Gallery], files: dict[str, bytes]
) -> None:
    """The share of others is named for what it is."""
    seen = set()
    for feature, page in made(report, own).items():
        shown = Page(files[page.path].decode())
        text, dead = words(shown), feature % 5 == 0
        assert ("Dead: in none of 40 images is its maximum above 0." in text) == dead
        assert ("Its maximum is above 0 in 100 % of 40 images." in text) == (not dead)
        classes = [attrs.get("class") or "" for tag, attrs in shown.tags if tag == "img"]
        assert any("patches" in css for css in classes) == (not dead)
        seen.add(dead)
    assert seen == {True, False}


def test_whole_crops_are_explained() -> None:
    why = "flatten mixes the locations of the map"
    report = make_report(Study("net", [("a", "conv"), ("b", "fc")], {"x": ["p", "q", "r"]}, 6))
    whole = [_whole(gallery, "b", why) for gallery in report.galleries]
    template = environment().get_template("unit.html")
    common = {"run": report.run, "queries": {}, "root": "../../../"}
    texts = {
        page.path: words(Page(template.render(**common, **page.values)))
        for page in unit_page.pages(report.networks[0], whole)
    }
    for name, text in texts.items():
        assert (f"Patches are whole crops, because {why}." in text) == ("/b/" in name), name
    assert len({name.split("/")[2] for name in texts}) == 2


def _whole(gallery: Gallery, layer: str, why: str) -> Gallery:
    units = {
        f: replace(u, layer=replace(u.layer, whole=why)) if u.layer.name == layer else u
        for f, u in gallery.units.items()
    }
    return replace(gallery, units=units)


def test_a_unit_without_exemplars_has_no_share(report: ReportData, own: list[Gallery]) -> None:
    info: NetworkInfo = report.networks[0]
    gallery = own[0]
    units = {
        f: replace(unit, exemplars=[], patches=None, n=None, n_active=None, counts=None, inner={})
        for f, unit in gallery.units.items()
    }
    pages = list(unit_page.pages(info, [replace(gallery, units=units, q=None)]))
    assert len(pages) == len(units) > 0
    for page in pages:
        (corpus,) = page.values["corpora"]
        assert (corpus["patches"], corpus["active"], corpus["from"]) == (None, None, [])
        (part,) = page.values["datasets"]
        assert part["curves"] == []
        assert {row["q"] for row in (*part["high"], *part["low"])} <= {None}
        assert page.path == names.unit_page(
            "vgg16", page.values["unit"].layer.name, page.values["unit"].unit
        )
