"""The page of a dataset: its lead, and what is cut where there are many classes."""

from __future__ import annotations

import pytest

from kdsspark.report.data import ReportData, of_pixels
from kdsspark.report.pages import dataset
from kdsspark.report.parts import formats, grid
from kdsspark.report.parts.drawing import draw
from tests.report.html import Page, words
from tests.report.synthetic import Study, make_report
from tests.report.undrawn import without_figures


@pytest.fixture(scope="module")
def page(files: dict[str, bytes]) -> Page:
    return Page(files["datasets/vgg16/birds.html"].decode())


def test_the_lead_has_thresholds_and_significant_pairs(page: Page, report: ReportData) -> None:
    best = report.frames["thresholds"].query("network == 'vgg16' and dataset == 'birds'").iloc[0]
    assert f"t+ = {best['t_plus']:.3f} gains {best['davg_plus']:,.0f} features" in words(page)
    assert "1,000 distances of a unit and a class are significant" in words(page)


def test_a_dataset_of_one_class_has_no_thresholds(files: dict[str, bytes]) -> None:
    page = Page(files["datasets/vgg16/mono.html"].decode())
    assert "t+ =" not in words(page)
    (row,) = [cells for cells in page.cells if cells[0] == "only"]
    assert row[1:4] == ["30", "0", "0"]
    assert row[5:] == ["\u2013", "\u2013"]


def test_many_classes_are_cut_and_complete_as_csv() -> None:
    names = [f"class {i:03d}" for i in range(grid.SHOWN + 30)]
    study = Study("n", [("a", "conv")], {"many": names}, units=2, per_class=5)
    data = make_report(study)
    (row,) = formats.rows(data.frames["thresholds"])
    with without_figures():
        drawn = {one.stem: draw(one) for one in dataset.figures(row, data.frames)}
    none = of_pixels(data, data.networks[0])
    page = dataset.page(data.networks[0], row, data.frames, data.galleries, drawn, none)
    assert (page.path, page.template) == ("datasets/n/many.html", "dataset.html")
    assert len(page.values["classes"].cells) == grid.SHOWN
    assert len(page.values["rows"]) == 60
    assert page.values["rows_note"] == "170 more classes are in the table below."
    assert page.values["map"] is None
    listed = page.files["data/n/classes-many.csv"].decode()
    assert [name for name in names if f",{name}," not in listed] == []
