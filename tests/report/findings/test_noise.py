"""Findings about classes, chance and thresholds: the numbers they state, from the frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

Frames = dict[str, pd.DataFrame]


def test_r2_is_the_square_of_the_correlation(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    thresholds = imagenet["thresholds"]
    logs = np.log(thresholds["images_per_class"])
    r2 = [np.corrcoef(logs, thresholds[name])[0, 1] ** 2 for name in ("t_plus", "t_minus")]
    number = by_imagenet["number"]["thresholds_fall"]
    assert number == f"R2 {r2[0]:.2f} (t+), {r2[1]:.2f} (t-); 11 datasets"


def test_thresholds_are_those_of_table_3(by_imagenet: pd.DataFrame) -> None:
    """The published world has the thresholds of the paper."""
    number = by_imagenet["number"]
    assert number["t_plus_larger"] == ("in 11 of 11 datasets; means 0.130 and -0.111")
    assert number["davg_minus_larger"] == "in 10 of 11 datasets"
    assert number["t_plus_range"] == "0.072 to 0.185"
    assert number["half_remain"] == "3,266 (26%) above t+, 4,073 (33%) below t-, of 12,416"


def test_classes_are_counted(imagenet: Frames, by_imagenet: pd.DataFrame) -> None:
    number = by_imagenet["number"]
    classes = imagenet["classes"]
    assert number["no_class_lost"] == f"the poorest class keeps {classes['n_plus'].min()}"
    assert number["classes_beat_chance"] == "22 of 22 classes"
    assert number["classes_differ"] == "highest ks of a class from 0.35 to 0.95"
