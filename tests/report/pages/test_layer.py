"""The page of a layer: modes, shares kept and extremes of every dataset."""

from __future__ import annotations

import io

import pandas as pd
import pytest

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
