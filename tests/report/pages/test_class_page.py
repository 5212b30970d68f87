"""The page of a class: its images, its units, and the classes that share them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.gallery.gallery import Gallery
from kdsspark.report.pages import class_page
from kdsspark.report.parts import names
from tests.report.html import Page, words
from tests.report.synthetic import N_FAILED


@pytest.fixture
def gallery(report: ReportData) -> Gallery:
    return next(g for g in report.galleries if (g.network, g.dataset) == ("vgg16", "birds"))


def html(files: dict[str, bytes], gallery: Gallery, c: int) -> Page:
    path = names.class_page(gallery.network, gallery.dataset, gallery.by_id[c].name)
    return Page(files[path].decode())


def test_all_units_of_a_class_are_shown(gallery: Gallery, files: dict[str, bytes]) -> None:
    for shown in gallery.classes:
        page = html(files, gallery, shown.class_id)
        assert f"{shown.name} in birds" in words(page)
        assert [src for src in page.all("src") if "samples" in src].count(
            f"../../../{names.samples('birds', shown.class_id)}"
        ) == 9
        for feature in (*shown.present, *shown.absent):
            layer, unit = gallery.unit_of(feature)
            assert f"../../../{names.unit_page('vgg16', layer, unit)}" in page.all("href")
            patches = f"../../../{names.picture('vgg16', 'birds', layer, str(unit))}"
            dead = gallery.units[feature].dead
            assert (patches in page.all("src")) == (not dead)
            assert ("dead: no image of birds excites it" in words(page)) or not dead
            ks = f"{gallery.ks[shown.class_id, feature]:+.2f}".replace("-", "\u2212")
            assert f"{layer} \u00b7 {unit} {ks}" in words(page)


def test_kin_and_the_units_that_part_them(gallery: Gallery, report: ReportData) -> None:
    shown = max(gallery.classes, key=lambda shown: len(shown.kin))
    assert shown.kin
    made = class_page.page(report.networks[0], gallery, shown).values["kin"]
    for kin, row in zip(shown.kin, made, strict=True):
        assert row["name"] == gallery.by_id[kin.other].name
        assert row["n_shared"] == kin.n_shared
        assert len(row["tiles"]) == 3
        gaps = [part["own"] - part["other"] for part in row["parting"]]
        assert [gap > 0 for gap in gaps] == [True, False][: len(gaps)]
        drawn = gallery.ks[:, sorted(gallery.units)]
        assert max(gaps) == pytest.approx((drawn[shown.class_id] - drawn[kin.other]).max())


def test_neighbours_are_those_of_the_map(gallery: Gallery, report: ReportData) -> None:
    first, second, *_, last = gallery.order
    made = {
        c: class_page.page(report.networks[0], gallery, gallery.by_id[c]).values
        for c in (first, second, last)
    }
    assert made[first]["before"] is None
    assert made[first]["after"]["name"] == gallery.by_id[second].name
    assert made[second]["before"]["name"] == gallery.by_id[first].name
    assert made[last]["after"] is None


def test_failures_and_copies_are_told(gallery: Gallery, files: dict[str, bytes]) -> None:
    told = {
        shown.class_id: words(html(files, gallery, shown.class_id)) for shown in gallery.classes
    }
    assert f"{N_FAILED} images could not be read" in told[0]  # the first images of the dataset
    assert [c for c in told if "could not be read" in told[c]] == [0]
    assert "1 image has a byte-identical copy" in told[1]
    assert "2 images have a byte-identical copy" in told[2]
    assert [c for c in told if "byte-identical" in told[c]] == [c for c in told if c % 3]


def test_a_class_without_pictures_or_units(gallery: Gallery, report: ReportData) -> None:
    shown = replace(gallery.classes[3], present=[], absent=[], kin=[], samples=None)
    made = class_page.page(report.networks[0], gallery, shown)
    empty = ("present", "absent", "kin", "sample_tiles")
    assert [made.values[name] for name in empty] == [[]] * 4
