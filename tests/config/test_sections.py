"""The sections of the configuration by themselves."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from kdsspark.config.sections import (
    Exemplars,
    Experiments,
    Measure,
    Probe,
    Spark,
    Transform,
    exemplars_or_none,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (False, False),
        ({"dataset": False}, False),
        ({"dataset": False, "top": 3}, False),
        ({}, Exemplars()),
        ({"dataset": None}, Exemplars()),
        ({"dataset": "birds", "top": 3}, Exemplars(dataset="birds", top=3)),
    ],
)
def test_exemplars_or_none(given: object, expected: object) -> None:
    assert exemplars_or_none(given) == expected


@pytest.mark.parametrize("given", [True, None, "birds", [], 0])
def test_exemplars_are_a_mapping_or_false(given: object) -> None:
    with pytest.raises(ValueError, match="must be a mapping of keys or false, got"):
        exemplars_or_none(given)


def test_a_mistake_is_refused_where_no_exemplars_are_wanted() -> None:
    with pytest.raises(ValidationError, match="top"):
        exemplars_or_none({"dataset": False, "top": 0})


@pytest.mark.parametrize(
    ("given", "seconds"), [("30min", 1800), ("90s", 90), ("2h", 7200), (None, None)]
)
def test_stalled_after_in_seconds(given: str | None, seconds: float | None) -> None:
    assert Spark(stalled_after=given).stalled_seconds == seconds


def test_memory_in_bytes() -> None:
    assert Measure(memory="64MiB").memory_bytes == 64 * 1024**2


def test_the_master_has_a_key_of_its_own() -> None:
    with pytest.raises(ValidationError, match=r"must not have spark\.master"):
        Spark(conf={"spark.master": "yarn"})


@pytest.mark.parametrize(
    ("section", "values"),
    [
        (Measure, {"bins": 1}),
        (Measure, {"bins": 65536}),
        (Measure, {"bins": True}),
        (Measure, {"shuffles": 0}),
        (Measure, {"seed": 2**63}),
        (Transform, {"t_plus": -0.1}),
        (Transform, {"t_minus": 0.1}),
        (Transform, {"t_plus": float("nan")}),
        (Probe, {"classifier": "pairs"}),
        (Experiments, {"classifiers": []}),
        (Experiments, {"classifiers": ["svm", "pairs"]}),
        (Experiments, {"train_per_class": [1, 0]}),
    ],
)
def test_values_out_of_range_are_refused(section: type, values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        section(**values)
