"""Our numbers beside the paper's: tables, fits and findings."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from kdsspark import paper
from kdsspark.report.data import ReportData
from kdsspark.report.pages.comparison import Comparison, compare, fits
from tests.report.synthetic import Study, make_report


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    study = Study("vgg16", [("conv1_1", "conv"), ("fc6", "fc")], {"Wood": ["a", "b"]}, units=3)
    return compare("vgg16", make_report(study).frames, {"Wood": "c"})


def test_datasets_and_layers_of_the_paper_stand_beside_ours(comparison: Comparison) -> None:
    table1, table2, table3, _ = comparison.tables
    rows = [[cell.text for cell in row] for row in table2.cells]
    assert [row[:4] for row in rows] == [["Wood", "53", "438", "\u2212385"]]
    layers = {row[0].text: [cell.text for cell in row[1:]] for row in table1.cells}
    assert (layers["conv1_1"], layers["conv1_2"]) == (["3", "64"], ["\u2013", "64"])
    assert table3.cells[0][2].text == "0.176"
    assert table3.caption.endswith("the paper's of 12,416.")


def test_every_table_has_its_csv(comparison: Comparison) -> None:
    names = ("table1", "table2", "table3", "fits", "findings")
    assert list(comparison.files) == [f"data/vgg16/{name}.csv" for name in names]
    findings = pd.read_csv(io.BytesIO(comparison.files["data/vgg16/findings.csv"]))
    assert set(findings["holds"]) == {"yes", "no", "not testable here"}
    counts = findings["holds"].value_counts()
    assert f"{counts['yes']} yes, {counts['no']} no, " in comparison.findings.caption


def test_tables_without_a_dataset_or_layer_of_the_paper_are_left_out(report: ReportData) -> None:
    made = compare("no-fc", report.frames, {})
    assert [table.csv for table in made.tables] == ["data/no-fc/fits.csv"]


def test_fits_are_those_of_numpy() -> None:
    rows = paper.DATASETS.merge(paper.THRESHOLDS, on="dataset")
    found = fits(rows).set_index(["of", "threshold"])
    slope, intercept = np.polyfit(np.log(rows["images_per_class"]), rows["t_plus"], 1)
    ours = found.loc[("ours", "t+")]
    assert ours[["slope", "intercept"]].tolist() == pytest.approx([slope, intercept])
    assert len(found) == 6
    stated = found.loc["paper, table 3 without imagenet"]["r2"]
    assert stated.round(2).tolist() == list(paper.R2)
    assert "ours" not in set(fits(rows[:2])["of"])
