"""Findings about classes, chance and thresholds: the numbers they state, from the frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

Frames = dict[str, pd.DataFrame]


def test_r2_is_the_square_of_the_correlation(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    thresholds = imagenet["thresholds"]
    logs = np.log(thresholds["images_per_class"])
    r2 = [np.corrcoef(logs, thresholds[name])[0, 1] ** 2 for name in ("t_plus", "t_minus")]
    text = "Thresholds follow a logarithmic curve of the class size, downwards"
    assert by_imagenet["number"][text] == f"R2 {r2[0]:.2f} (t+), {r2[1]:.2f} (t-); 11 datasets"


def test_thresholds_are_those_of_table_3(by_imagenet: pd.DataFrame) -> None:
    """The published world has the thresholds of the paper."""
    number = by_imagenet["number"]
    assert number["t+ is farther from 0 than t- (table 3: in all datasets)"] == (
        "in 11 of 11 datasets; means 0.130 and -0.111"
    )
    assert number["davg(t-) is larger than davg(t+) (table 3: in 10 of 11 datasets)"] == (
        "in 10 of 11 datasets"
    )


def test_classes_are_counted(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    number = by_imagenet["number"]
    classes = imagenet["classes"]
    assert number["Every class keeps some feature beyond the thresholds"] == (
        f"the poorest class keeps {(classes['n_plus'] + classes['n_minus']).min()}"
    )
    assert number["Every class is told by more features than its shuffled counterpart"] == (
        "22 of 22 classes"
    )
    text = "Classes differ in how well features tell them: some end by ks 0.4, some reach 0.9"
    assert number[text] == "highest ks of a class from 0.35 to 0.95"


def test_the_papers_numbers_stand_in_the_text(by_imagenet: pd.DataFrame) -> None:
    for text in (
        "More than half of the features stay relevant for a class (paper: 27 %, 32 %)",
        "With shuffled labels, classes run out of features between ks 0.1 and 0.3",
    ):
        assert by_imagenet.loc[text, "section"].startswith("7")
