"""Label entropy from the histograms, against the values themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.config import Measure
from kdsspark.errors import DatasetError
from kdsspark.pipeline.study import Study
from kdsspark.tables import LABEL_ENTROPY
from tests.stages.experiments import studies
from tests.stats.test_entropy import plain


def test_every_feature_has_the_area_of_its_values(study: Study) -> None:
    studies.experiment(study, "label-entropy")
    found = studies.table(study, LABEL_ENTROPY).set_index(["layer", "unit"])["entropy"]
    rows = studies.embeddings(study)
    labels = rows["class_id"].to_numpy()
    assert len(found) == 15
    for layer, width in (("wide", 12), ("narrow", 3)):
        x = studies.values(rows, layer)
        for unit in range(width):
            column, finite = x[:, unit], np.isfinite(x[:, unit])
            if np.ptp(column[finite]) == 0:
                shares = np.bincount(labels[finite]) / finite.sum()
                expected = -(shares * np.log(shares)).sum() / np.log(4)
            else:
                expected = plain(column[finite], labels[finite], 4, 100)
            assert found[layer, unit] == pytest.approx(expected, rel=1e-9), (layer, unit)
    assert found["narrow", 0] < found["narrow", 2]  # fires for one class alone


def test_it_is_done_once_and_again_when_measured_otherwise(study: Study) -> None:
    studies.experiment(study, "label-entropy")
    files = [Path(study.output.path(path)) for path in study.output.files("label_entropy")]
    before = [path.stat().st_mtime_ns for path in files]
    studies.experiment(study, "label-entropy")
    assert [path.stat().st_mtime_ns for path in files] == before


def test_without_histograms_it_says_what_is_missing(folder: Path) -> None:
    made = studies.make(folder, measure={"histograms": False})
    with pytest.raises(DatasetError, match=r"with measure\.histograms true"):
        made.do("experiment label-entropy")


def test_other_settings_ask_for_measure_first(study: Study) -> None:
    with pytest.raises(DatasetError, match="dataset birds: must be measured"):
        studies.experiment(study, "label-entropy", measure=Measure(bins=7))


def test_a_dataset_of_one_class_has_no_entropy(folder: Path) -> None:
    made = studies.experiment(studies.make(folder, [9]), "label-entropy")
    assert studies.table(made, LABEL_ENTROPY)["entropy"].isna().all()
