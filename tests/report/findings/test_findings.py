"""Findings: yes where the paper is right by construction; what is missing is named."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.data import ReportData
from kdsspark.report.findings import FINDINGS, findings
from kdsspark.report.findings.evidence import Finding

each = pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.judge.__name__)


def test_there_are_many_and_no_two_alike() -> None:
    texts = [finding.text for finding in FINDINGS]
    assert len(texts) == len(set(texts)) == 63
    sections = [finding.section for finding in FINDINGS]
    assert sections == sorted(sections)
    assert set(sections) == {"3.1", "4", "5", "5.1", "5.2", "6.1", "6.2", "7", "7.1", "8"}


@each
def test_each_holds_in_a_world_made_after_the_paper(
    by_imagenet: pd.DataFrame, by_places: pd.DataFrame, finding: Finding
) -> None:
    name = finding.judge.__name__
    about_places = "network for" in finding.text
    expected = "not testable here" if about_places or name == "not_linear" else "yes"
    assert by_imagenet.loc[name, "holds"] == expected
    if about_places:
        assert by_places.loc[name, "holds"] == "yes"


def test_an_answer_names_what_is_missing(report: ReportData) -> None:
    """Random weights without fc, one dataset that is not the paper's, no groups."""
    rows = findings("no-fc", report.frames, {}).set_index("finding")
    lacking = rows[rows["holds"] == "not testable here"]["number"]
    assert lacking["fc layers of group c are more symmetric than those of a and b"] == (
        "because no fully connected layer was embedded"
    )
    assert lacking["In groups b and c, fewer pairs are kept in fc layers than in conv layers"] == (
        "because no fully connected layer was embedded"
    )
    assert lacking["wood has the heaviest tails of all in low convolutional layers"] == (
        "because dataset wood is missing"
    )
    assert lacking["In low convolutional layers, distances fall as classes grow"] == (
        "because a correlation needs four values or more, got 1"
    )
    assert len(lacking) > 30


def test_nothing_is_testable_without_distances(report: ReportData) -> None:
    frames = {
        name: frame[frame["dataset"] == "mono"] if "dataset" in frame else frame
        for name, frame in report.frames.items()
    }
    rows = findings("vgg16", frames, {"mono": "a"})
    assert rows["holds"].tolist() == ["not testable here"] * len(FINDINGS)
