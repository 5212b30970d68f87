"""The table on the page of a dataset: counts, curves and strongest features of its classes."""

from __future__ import annotations

import pytest

from kdsspark import pixels
from kdsspark.report.data import ReportData, of_pixels
from tests.report.html import Page
from tests.report.rendered import rendered
from tests.report.synthetic import Study, Tables, make_report
from tests.report.undrawn import without_figures


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["datasets/vgg16/birds.html"].decode())


def test_a_dataset_shows_its_classes(page: Page, report: ReportData, tables: Tables) -> None:
    classes = report.frames["classes"].query("network == 'vgg16' and dataset == 'birds'")
    ks = tables["ks"].query("network == 'vgg16' and dataset == 'birds'")
    rows = {cells[0]: cells for cells in page.cells}
    assert len(classes) == 12
    for row in classes.to_dict("records"):
        _, images, plus, minus, _, highest, lowest = rows[row["class_name"]]
        assert (images, plus, minus) == ("30", str(row["n_plus"]), str(row["n_minus"]))
        own = ks[ks["class_id"] == row["class_id"]].sort_values("ks")
        first, last = own.iloc[0], own.iloc[-1]
        assert highest.startswith(f"{last['layer']}:{last['unit']}\u00a0{last['ks']:.2f},")
        assert lowest.startswith(f"{first['layer']}:{first['unit']}\u00a0\u2212{-first['ks']:.2f},")
    svgs = [attrs["class"] for tag, attrs in page.tags if tag == "svg"]
    assert svgs.count("spark") == 12


def test_the_strongest_units_lead_to_their_pages(page: Page, report: ReportData) -> None:
    drawn = {
        unit.name for g in report.galleries if g.network == "vgg16" for unit in g.units.values()
    }
    classes = report.frames["class_extremes"].query("network == 'vgg16' and dataset == 'birds'")
    rows = classes[classes["place"] <= 3]
    want = [
        f"../../units/vgg16/{layer}/{unit}.html"
        for layer, unit in zip(rows["layer"], rows["unit"], strict=True)
        if f"{layer} \u00b7 {unit}" in drawn
    ]
    assert want
    table = [href for href in page.all("href") if href.startswith("../../units/")]
    assert set(want) <= set(table)
    assert [n for n in set(want) if table.count(n) < want.count(n)] == []


def test_what_tells_a_class_without_a_network_stands_beside_its_best_units() -> None:
    names = ["a", "b", "c"]
    trained = Study("vgg16", [("conv", "conv")], {"set": names}, units=6)
    plain = Study("plain", [("pixels", "other")], {"set": names}, units=len(pixels.NAMES))
    data = make_report(trained, plain)
    assert of_pixels(data, data.networks[0]).empty
    data.networks[1]["architecture"] = "pixels"
    rows = data.frames["class_extremes"].query("network == 'plain' and place == 1")
    with without_figures():
        files = rendered(data)
    cells = {row[0]: row for row in Page(files["datasets/vgg16/set.html"].decode()).cells}
    for class_id, name in enumerate(names):
        own = rows[rows["class_id"] == class_id]
        best = own.loc[own["ks"].abs().idxmax()]
        shown = f"{best['ks']:.2f}".replace("-", "\u2212")
        assert cells[name][-1] == f"{pixels.NAMES[best['unit']]}\u00a0{shown}"
    page = Page(files["datasets/plain/set.html"].decode())
    cells = {row[0]: row for row in page.cells}
    assert len(cells["a"]) == 7  # nothing stands beside itself
    highest = rows.query("class_id == 0 and sign == '+'").iloc[0]
    assert cells["a"][5].startswith(f"{pixels.NAMES[highest['unit']]}\u00a0{highest['ks']:.2f}")
