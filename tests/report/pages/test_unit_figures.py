"""Figures 2, 3, 4 and 7 on the page of the paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.gallery.gallery import FigureUnit, Gallery, UnitFigure
from kdsspark.report.pages import overview, unit_figures
from kdsspark.report.parts import names
from kdsspark.report.queries import QUERIES
from kdsspark.report.site import environment
from tests.report.html import Page, words


@pytest.fixture
def gallery(report: ReportData) -> Gallery:
    """The one with the figures of VGG16."""
    return next(g for g in report.galleries if g.network == "vgg16" and g.figures)


def alone(report: ReportData) -> str:
    """The page of the paper for VGG16, without its other figures."""
    page = next(iter(overview.paper_pages(report, {})))
    template = environment().get_template(page.template)
    common = {"run": report.run, "queries": QUERIES}
    return template.render(**common, root="../", **page.values)


def test_all_figures_are_on_the_page_with_their_units(
    gallery: Gallery, papers: dict[str, Page]
) -> None:
    page = papers["vgg16"]
    text, links = words(page), page.all("href")
    assert [figure.number for figure in gallery.figures] == [2, 3, 4, 7]
    for figure in gallery.figures:
        assert f"figure {figure.number} of the paper, chosen alike" in text
        for unit in figure.units:
            layer, position = gallery.unit_of(unit.feature)
            assert f"../{names.unit_page('vgg16', layer, position)}" in links
            for c in unit.classes:
                assert gallery.by_id[c].name in "".join(page.text)
                value = f"{gallery.ks[c, unit.feature]:+.2f}".replace("-", "\u2212")
                assert value in text


def test_patches_stand_in_a_row_above_samples_or_three_by_three(
    gallery: Gallery, papers: dict[str, Page]
) -> None:
    shown = papers["vgg16"].all("src")
    for figure in gallery.figures:
        for unit in (gallery.units[u.feature] for u in figure.units):
            if unit.patches is None:
                continue
            where = unit.corpus, unit.layer.name, str(unit.unit)
            square, row = f"../{unit.patches.path}", f"../{names.row('vgg16', *where)}"
            if figure.number in (3, 4):
                assert shown.count(row) == unit.patches.n
            else:
                assert square in shown
    (last,) = (figure for figure in gallery.figures if figure.number == 7)
    samples = gallery.by_id[last.units[0].classes[0]].samples
    assert samples is not None
    assert shown.count(f"../{samples.path}") >= samples.n


def test_the_papers_numbers_stand_beside_ours(report: ReportData, gallery: Gallery) -> None:
    """A published class need not be one of ours."""
    feature, other = sorted(gallery.units)[:2]
    best, second = int(gallery.ks[:, feature].argmax()), int(gallery.ks[:, other].argmin())
    units = (FigureUnit(feature, (best,), (("<florist>", 0.8641),)),)
    low = (FigureUnit(other, (second,), (("gadwall", -0.888), ("pelican", -0.8736))),)
    figures = (UnitFigure(3, True, low), UnitFigure(2, False, units), UnitFigure(2, True, units))
    own = replace(gallery, figures=figures)
    made = unit_figures.figures([own])
    assert [(item["number"], item["named"]) for item in made] == [(2, True), (2, False), (3, True)]
    assert made[0]["of_paper"] == "mit67"
    assert made[0]["units"][0]["classes"][0]["ks"] == float(gallery.ks[best, feature])
    text = words(Page(alone(replace(report, galleries=[own]))))
    assert "Paper: <florist> +0.86" in text
    assert "Paper: gadwall \u22120.89, pelican \u22120.87." in text
    assert "the units that the paper names" in text
