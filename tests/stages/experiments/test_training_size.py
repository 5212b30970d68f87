"""Accuracy by training images: one trial is what ``probe`` gives with the same settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark.config import Experiments, Probe
from kdsspark.pipeline.study import Study
from kdsspark.tables import PROBE, TRAINING_SIZE
from tests.stages.experiments import studies

WANTED = Experiments(train_per_class=(3, 8, 24), classifiers=("svm", "knn"), folds=2, max_test=5)


@pytest.fixture(scope="module")
def done(study: Study) -> Study:
    return studies.experiment(study, "training-size", experiments=WANTED)


def test_sizes_are_those_that_a_class_has_more_of(done: Study) -> None:
    found = studies.table(done, TRAINING_SIZE)
    keys = found.set_index(["layer", "classifier"])["train_per_class"].groupby(level=[0, 1])
    assert keys.agg(sorted).tolist() == [[3, 8]] * 4  # the largest class has 24 images
    assert set(found["n_train"]) == {3 * 3 + 1, 3 * 8 + 1}
    # At eight of a class, the class of twelve has four to test with, and the others five.
    assert set(found["n_test"]) == {15, 14}
    assert (found["folds"] == 2).all()


@pytest.mark.parametrize("classifier", ["svm", "knn"])
@pytest.mark.parametrize("size", [3, 8])
def test_a_trial_is_what_the_probe_gives(done: Study, classifier: str, size: int) -> None:
    settings = Probe(classifier=classifier, train_per_class=size, folds=2, max_test=5)
    probed = Study(done.config.model_copy(update={"probe": settings}))
    probed.do("transform")
    probed.do("probe")
    expected = studies.table(probed, PROBE)
    expected = expected[(expected["class_id"] == -1) & (expected["features"] == "all")]
    found = studies.table(done, TRAINING_SIZE)
    found = found[(found["classifier"] == classifier) & (found["train_per_class"] == size)]
    means = expected.set_index("layer")["mean_of_classes"]
    assert set(found["layer"]) == {"wide", "narrow"}
    for _, row in found.iterrows():
        assert row["accuracy"] == pytest.approx(means[row["layer"]])
        assert row["low"] <= row["accuracy"] <= row["high"]


def test_a_dataset_of_single_images_has_no_trial(folder: Path) -> None:
    made = studies.experiment(studies.make(folder, [1, 1, 1]), "training-size")
    assert len(studies.table(made, TRAINING_SIZE)) == 0


def test_one_fold_has_wilsons_interval(folder: Path) -> None:
    once = Experiments(train_per_class=(2,), classifiers=("svm",), folds=1)
    made = studies.experiment(studies.make(folder, [6, 5]), "training-size", experiments=once)
    found = studies.table(made, TRAINING_SIZE)
    assert found["deviation"].isna().all()
    assert (found["high"] > found["low"]).all()
    assert np.isfinite(found["accuracy"]).all()
