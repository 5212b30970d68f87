"""Which rows of the training sizes are drawn, and that they are."""

from __future__ import annotations

import pandas as pd
import pytest

from kdsspark.report.experiments import training_size

# dataset, images per class, depth -> accuracy by the number of training images
ACCURACIES = {
    ("a", 9.0, 0): {1: 0.2, 5: 0.9},
    ("a", 9.0, 1): {1: 0.6, 5: 0.7},  # the better mean
    ("b", 50.0, 0): {1: 0.5, 5: 0.5, 10: 0.6},
    ("b", 50.0, 1): {1: 0.1, 5: 0.4, 10: 0.7},
}


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"network": "n", "dataset": dataset, "images_per_class": images, "depth": depth},
                **{"layer": f"l{depth}", "kind": "conv", "classifier": classifier},
                **{"train_per_class": size, "accuracy": accuracy - lower, "n_test": 20},
                **{"low": accuracy - 0.1, "high": accuracy + 0.1, "deviation": 0.0},
            }
            for classifier, lower in (("svm", 0), ("softmax", 0.05))
            for (dataset, images, depth), by_size in ACCURACIES.items()
            for size, accuracy in by_size.items()
        ]
    )


def test_the_best_layer_of_each_dataset_has_the_best_mean(frame: pd.DataFrame) -> None:
    found = training_size.best_layer(frame)
    assert set(zip(found["dataset"], found["depth"], strict=True)) == {("a", 1), ("b", 0)}
    assert len(found) == 2 * (2 + 3)


def test_most_is_the_largest_number_that_a_dataset_allows(frame: pd.DataFrame) -> None:
    found = training_size.most(frame)
    sizes = found.groupby("dataset")["train_per_class"].unique()
    assert {name: own.tolist() for name, own in sizes.items()} == {"a": [5], "b": [10]}
    assert len(found) == 2 * 2 * 2


def test_accuracies_are_drawn_in_percent_a_line_for_each_classifier(frame: pd.DataFrame) -> None:
    figure = training_size.by_size(training_size.best_layer(frame))
    lines = [line.get_xydata().round(6).tolist() for ax in figure.axes for line in ax.lines]
    for expected in ([[1, 60], [5, 70]], [[1, 50], [5, 50], [10, 60]], [[1, 55], [5, 65]]):
        assert expected in lines
