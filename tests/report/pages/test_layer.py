"""The page of a layer: modes, shares kept and extremes of every dataset."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest

from kdsspark.report.data import ReportData, of_network
from kdsspark.report.pages import layer
from kdsspark.report.parts import formats, names
from tests.report.html import Page, words
from tests.report.synthetic import Tables


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["layers/vgg16/fc6.html"].decode())


def test_the_lead_says_where_the_layer_is(files: dict[str, bytes]) -> None:
    page = Page(files["layers/vgg16/fc7.html"].decode())
    assert "Layer 15 of 15 (fully connected), 20 units; 4 dead: no image excites them." in words(
        page
    )


def test_a_layer_shows_every_dataset(page: Page, tables: Tables) -> None:
    layers = tables["layers"].query("network == 'vgg16' and layer == 'fc6' and dataset == 'wood'")
    kept = layers.set_index(["labels", "sign"])["kept"]
    (row,) = [cells for cells in page.cells if cells[0] == "wood" and len(cells) == 7]
    chance = kept["shuffled", "+"] + kept["shuffled", "-"]
    shares = [kept["true", "+"], kept["true", "-"], chance]
    assert row[3:6] == [f"{100 * share:.1f} %" for share in shares]
    true = layers[layers["labels"] == "true"].set_index("sign")
    assert row[1] == "{mode:.3f} ({low:.3f} to {high:.3f})".format(**true.loc["+"])
    (empty,) = [cells for cells in page.cells if cells[0] == "mono" and len(cells) == 7]
    assert empty[1:6] == ["\u2013"] * 5


def test_extremes_are_the_five_at_either_end(page: Page, tables: Tables) -> None:
    rows = [cells for cells in page.cells if cells[0] == "wood" and len(cells) == 4]
    ks = tables["ks"].query("network == 'vgg16' and layer == 'fc6' and dataset == 'wood'")["ks"]
    ordered = ks.sort_values(ascending=False).tolist()
    want = [*ordered[:5], *ordered[:-6:-1]]
    assert [row[3] for row in rows] == [f"{x:+.3f}".replace("-", "\u2212") for x in want]


def test_data_are_the_rows_of_the_layer(files: dict[str, bytes], tables: Tables) -> None:
    read = pd.read_csv(io.BytesIO(files["data/vgg16/ks-fc6.csv"]))
    raw = tables["distribution"].query("network == 'vgg16' and layer == 'fc6'")
    assert read["n"].sum() == raw["n"].sum()
    assert set(read["labels"]) == {"true", "shuffled"}


def test_the_sheet_shows_the_units_that_tell_classes_best(page: Page, report: ReportData) -> None:
    own = [gallery for gallery in report.galleries if gallery.network == "vgg16"]
    gallery = next(gallery for gallery in own if gallery.sheets)
    sheet = gallery.sheets["fc6"]
    shown = [attrs for tag, attrs in page.tags if tag in ("a", "span") and "data-unit" in attrs]
    first = next(layer.first for layer in gallery.layers if layer.name == "fc6")
    assert [int(attrs["data-unit"] or -1) for attrs in shown] == [f - first for f in sheet.features]
    best = [float(attrs["data-ks"] or "nan") for attrs in shown]
    assert best == pytest.approx([gallery.ks[:, f].max() for f in sheet.features], abs=0.0005)
    assert best == sorted(best, reverse=True)
    drawn = {f for g in own for f in g.units}
    for attrs, feature in zip(shown, sheet.features, strict=True):
        page_of = names.unit_page("vgg16", "fc6", feature - first)
        assert attrs.get("href") == (f"../../{page_of}" if feature in drawn else None)
        assert attrs["data-best"] == gallery.by_id[int(gallery.ks[:, feature].argmax())].name
        assert attrs["data-active"] == f"{sheet.n_active[feature] / sheet.n:.3f}"


def test_units_that_the_sheet_does_not_show_are_linked_beside_it(report: ReportData) -> None:
    """A sheet has 256 at most; layers of ready-made embeddings have none."""
    own = [gallery for gallery in report.galleries if gallery.network == "no-fc"]
    frames = of_network(report.frames, "no-fc")
    row = next(row for row in formats.rows(frames["layers"]) if row["layer"] == "stage1")
    drawn = [u.unit for u in own[0].units.values() if u.layer.name == "stage1"]
    kept = own[0].sheets["stage1"].features[:2]
    short = replace(own[0].sheets["stage1"], features=kept)
    on_sheet = {own[0].unit_of(feature)[1] for feature in kept}
    for sheets, shown in (({"stage1": short}, on_sheet), ({}, set())):
        made = layer.page(report.networks[1], row, frames, [replace(own[0], sheets=sheets)])
        assert [int(x["name"]) for x in made.values["more"]] == sorted(set(drawn) - shown)
        assert (made.values["sheet"] is None) == (not sheets)


def test_filters_belong_to_the_first_layer(report: ReportData) -> None:
    frames = of_network(report.frames, "no-fc")
    for row in formats.rows(frames["layers"]):
        made = layer.page(report.networks[1], row, frames, [], b"png")
        path = "pictures/no-fc/filters.png"
        assert made.values["filters"] == (path if row["depth"] == 0 else None)
        assert made.files.get(path) == (b"png" if row["depth"] == 0 else None)
