"""What is shown of a unit beside a class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.gallery.gallery import Exemplar, Gallery, Sample
from kdsspark.report.parts import cards, names


@pytest.fixture
def gallery(report: ReportData) -> Gallery:
    return next(g for g in report.galleries if (g.network, g.dataset) == ("vgg16", "wood"))


def without(gallery: Gallery, feature: int, **changed: object) -> Gallery:
    unit = replace(gallery.units[feature], **changed)
    return replace(gallery, units={**gallery.units, feature: unit})


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 40, "0 %"),
        (1, 400, "< 1 %"),
        (4, 400, "1 %"),
        (17, 40, "42 %"),
        (396, 400, "99 %"),
        (399, 400, "> 99 %"),
        (40, 40, "100 %"),
        (0, 0, "\u2013"),
    ],
)
def test_shares_are_none_or_all_only_where_that_is_exact(part: int, whole: int, text: str) -> None:
    assert cards.percent(part, whole) == text


def test_units_with_a_page_are_linked(gallery: Gallery) -> None:
    drawn, other = min(gallery.units), next(f for f in range(300) if f not in gallery.units)
    layer, unit = gallery.unit_of(drawn)
    page = names.unit_page("vgg16", layer, unit)
    assert cards.link(gallery, drawn) == {"name": f"{layer} \u00b7 {unit}", "page": page}
    assert cards.link(gallery, other)["page"] is None
    assert cards.unit_pages([gallery])[layer, unit] == page
    assert len(cards.unit_pages([gallery])) == len(gallery.units)


def test_a_card_names_the_classes_that_come_next(gallery: Gallery) -> None:
    for shown in gallery.classes:
        for feature in (*shown.present, *shown.absent):
            card = cards.card(gallery, shown.class_id, feature)
            ks = {c: float(gallery.ks[c, feature]) for c in gallery.by_id}
            own = ks.pop(shown.class_id)
            assert card["ks"] == own
            assert card["css"] == ("plus" if own > 0 else "minus")
            same = [c for c in ks if ks[c] * own > 0]
            same.sort(key=lambda c: -abs(ks[c]))
            assert [x["name"] for x in card["next"]] == [gallery.by_id[c].name for c in same[:2]]
            assert [x["ks"] for x in card["next"]] == [ks[c] for c in same[:2]]
            assert f"for {shown.name}, in colour" in card["drawing"]
            assert card["q"] == 0.5


def test_patches_are_told_by_the_classes_they_come_from(gallery: Gallery) -> None:
    feature = min(gallery.units)
    exemplars = [Exemplar(name, 1.0) for name in ("b", "a", "a", "b", "a")]
    unit = without(gallery, feature, exemplars=exemplars, patches=Sample("x", 5)).units[feature]
    assert cards.origins(unit) == [("a", 3), ("b", 2)]
    patches = cards.patches(unit)
    assert patches == {
        "src": "x",
        "alt": f"The 5 patches that excite {unit.name} most: 3 of a, 2 of b",
        "rows": 2,
    }
    assert cards.patches(replace(unit, patches=None)) is None


@pytest.mark.parametrize(("held", "shown", "at"), [
    (9, None, ["0%", "12.5%", "25%", "37.5%", "50%", "62.5%", "75%", "87.5%", "100%"]),
    (4, 3, ["0%", "33.33%", "66.67%"]),
    (2, 3, ["0%", "100%"]),
    (1, 3, ["0%"]),
])  # fmt: skip
def test_tiles_are_positions_in_a_strip(
    gallery: Gallery, held: int, shown: int | None, at: list[str]
) -> None:
    """As CSS has them: at 100 %, the last tile."""
    own = replace(gallery.classes[0], samples=Sample("strip.webp", held))
    tiles = cards.tiles(own, shown)
    assert [tile["at"] for tile in tiles] == at
    assert {tile["src"] for tile in tiles} == {"strip.webp"}
    assert tiles[0]["alt"] == f"image 1 of {own.name}"
    assert cards.tiles(replace(own, samples=None)) == []


def test_without_histograms_nothing_is_drawn(gallery: Gallery) -> None:
    feature = gallery.classes[0].present[0]
    bare = without(gallery, feature, counts=None, inner={})
    card = cards.card(replace(bare, q=None), 0, feature)
    assert (card["drawing"], card["q"]) == (None, None)


def test_both_drawings_have_the_sign_of_the_distance(gallery: Gallery) -> None:
    unit = gallery.units[gallery.classes[0].absent[0]]
    made = cards.curves(gallery, unit, 0)
    assert made["ks"] == float(gallery.ks[0, unit.feature]) < 0
    assert made["css"] == "minus"
    assert 'class="minus"' in made["density"]
    assert 'class="minus"' in made["cumulative"]
    assert np.isfinite(made["ks"])
