"""Our numbers beside the paper's: tables, fits and findings."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from kdsspark import paper
from kdsspark.report.data import ReportData
from kdsspark.report.findings import FINDINGS, findings
from kdsspark.report.pages.comparison import PaperComparison, compare, fits, thresholds_beside
from tests.report.synthetic import Study, make_report


@pytest.fixture(scope="module")
def comparison() -> PaperComparison:
    study = Study("vgg16", [("conv1_1", "conv"), ("fc6", "fc")], {"Wood": ["a", "b"]}, units=3)
    frames = make_report(study).frames
    sizes = [("vgg16", "conv1_1", 3_211_264, 1_792), ("vgg16", "fc6", 4_096, 102_764_544)]
    frames |= {"sizes": pd.DataFrame(sizes, columns=["network", "layer", "neurons", "parameters"])}
    judged = {name: findings("vgg16", frames, {"Wood": "c"}) for name in ("vgg16", "vgg19")}
    return compare("vgg16", frames, judged)


def test_datasets_and_layers_of_the_paper_stand_beside_ours(comparison: PaperComparison) -> None:
    table1, table2, table3, _ = comparison.tables
    (wood,) = ([cell.text for cell in row] for row in table2.cells)
    assert wood[:4] == ["Wood", "53", "438", "\u2212385"]
    assert wood[7:11] == ["30", "14", "30", "179"]  # least and most of a class
    layers = {row[0].text: [cell.text for cell in row[1:]] for row in table1.cells}
    assert layers["conv1_1"] == ["3", "64", "1,792", "1,700", "3,211,264", "3,200,000"]
    assert layers["conv1_2"] == ["\u2013", "64", "\u2013", "36,000", "\u2013", "3,200,000"]
    assert table3.cells[0][2].text == "0.176"


def test_davg_is_a_share_where_the_embedding_is_another(comparison: PaperComparison) -> None:
    """Of 12,416 features, the paper has 3,087 for wood: 24.9 %."""
    table3 = comparison.tables[2]
    assert table3.caption.endswith(
        "davg is in percent of the features: ours of 6, the paper's of 12,416."
    )
    texts = dict(zip((c.heading for c in table3.columns), table3.cells[0], strict=True))
    assert texts["davg(t+) in %, paper"].text == "24.9"
    thresholds = pd.DataFrame({"dataset": ["wood"], "t_plus": [0.2], "davg_plus": [1_763.0]})
    thresholds = thresholds.assign(t_minus=-0.1, davg_minus=5_300.0)
    share, count = (thresholds_beside(thresholds, n).iloc[0] for n in (5_300, 12_416))
    assert (share["davg_plus_ours"], share["davg_minus_ours"]) == (
        pytest.approx(100 * 1763 / 5300),
        100,
    )
    assert share["davg_plus_paper"] == pytest.approx(100 * 3087 / 12416)
    assert (count["davg_plus_ours"], count["davg_plus_paper"]) == (1_763, 3_087)
    assert share["t_plus_difference"] == count["t_plus_difference"] == pytest.approx(0.024)


def test_findings_stand_beside_those_of_other_networks(comparison: PaperComparison) -> None:
    headings = [column.heading for column in comparison.findings.columns]
    assert headings[-3:] == ["number", "the paper's value", "by vgg19?"]
    own, other = headings.index("holds here?"), headings.index("by vgg19?")
    assert all(row[own].text == row[other].text for row in comparison.findings.cells)
    assert len(comparison.findings.cells) == len(FINDINGS)
    published = headings.index("the paper's value")
    assert all(row[published].text for row in comparison.findings.cells)


def test_every_table_has_its_csv(comparison: PaperComparison) -> None:
    names = ("table1", "table2", "table3", "fits", "findings")
    assert list(comparison.files) == [f"data/vgg16/{name}.csv" for name in names]
    findings = pd.read_csv(io.BytesIO(comparison.files["data/vgg16/findings.csv"]))
    assert set(findings["holds"]) == {"yes", "no", "not testable here"}
    counts = findings["holds"].value_counts()
    assert f"{counts['yes']} yes, {counts['no']} no, " in comparison.findings.caption


def test_tables_without_a_dataset_or_layer_of_the_paper_are_left_out(report: ReportData) -> None:
    made = compare("no-fc", report.frames, {"no-fc": findings("no-fc", report.frames, {})})
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
