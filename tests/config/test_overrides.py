"""YAML as a person reads it, and ``--set KEY=VALUE``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsspark.config import load
from kdsspark.config.overrides import Written, apply, read_yaml
from kdsspark.errors import ConfigError

SMALL: dict[str, Any] = {
    "output": "out",
    "networks": [{"name": "net"}],
    "datasets": [{"name": "birds", "path": "/data"}],
}


def written(folder: Path, raw: dict[str, Any]) -> str:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return str(path)


@pytest.fixture
def small(tmp_path: Path) -> str:
    return written(tmp_path, SMALL)


# -- YAML ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("1_000", 1000),
        ("0xff", 255),
        ("0.25", 0.25),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01 10:00:00", "2024-01-01 10:00:00"),
        ("1.2.3", "1.2.3"),
        ("e3", "e3"),
        ("'010'", "010"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_a_value_is_what_a_person_reads(text: str, value: Any) -> None:
    found = read_yaml(text)
    assert found == value
    assert isinstance(found, type(value))


def test_not_a_number_is_one() -> None:
    assert math.isnan(read_yaml(".nan"))


def test_a_fraction_remembers_its_text_in_mappings_and_lists_too() -> None:
    found = read_yaml("{version: 4.10, many: [1e3, 2]}")
    assert isinstance(found["version"], Written)
    assert (found["version"], found["version"].text) == (4.1, "4.10")
    assert found["many"][0].text == "1e3"
    assert type(found["many"][1]) is int


@pytest.mark.parametrize(
    ("text", "meant"), [("010", 10), ("+08", 8), ("-010", -10), ("-00", 0), ("0_1", 1)]
)
def test_a_zero_in_front_is_refused_with_what_may_be_meant(text: str, meant: int) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml(text)
    assert f"{text} has a zero in front, which could mean octal: write {meant} or '{text}'" in str(
        caught.value
    )


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "a: 1\nb: {c: 1, c: 1}\n", "- {x: 1, 'x': 2}"])
def test_a_key_given_twice_is_refused_at_any_depth(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="is given twice"):
        read_yaml(text)


# -- apply ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a=1", {"a": 1, "b": [{"c": 0}]}),
        ("b.0.c=x", {"a": None, "b": [{"c": "x"}]}),
        ("b.0.d.e=2", {"a": None, "b": [{"c": 0, "d": {"e": 2}}]}),
        ("a.z=3", {"a": {"z": 3}, "b": [{"c": 0}]}),  # below a null
        ("b.0=5", {"a": None, "b": [5]}),
        ("b=", {"a": None, "b": None}),
        ("a=b=c", {"a": "b=c", "b": [{"c": 0}]}),
        (
            "spark.conf.x.y=1",
            {"a": None, "b": [{"c": 0}], "spark": {"conf": {"x.y": 1}}},
        ),
        ("spark.master=yarn", {"a": None, "b": [{"c": 0}], "spark": {"master": "yarn"}}),
    ],
)
def test_apply_changes_one_value_and_no_other(override: str, expected: dict[str, Any]) -> None:
    raw: dict[str, Any] = {"a": None, "b": [{"c": 0}]}
    apply(raw, override)
    assert raw == expected


# -- --set ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("measure.shuffles=10", "measure.shuffles", 10),
        ("measure.exact=false", "measure.exact", False),
        ("networks.0.weights=random", "networks.0.weights", "random"),
        ("networks.0.layers={fire9: features.12}", "networks.0.layers", {"fire9": "features.12"}),
        ("networks.0.preprocessing.resize=300", "networks.0.preprocessing.resize", 300),
        ("output=a=b", "output", "a=b"),
        ("datasets=[{name: x, path: p}]", "datasets.0.name", "x"),
        ("spark.conf={a.b: 1, c: true}", "spark.conf", {"a.b": 1, "c": True}),
    ],
)
def test_set_reads_values_as_yaml(small: str, override: str, key: str, value: Any) -> None:
    node: Any = load(small, [override]).model_dump(mode="json")
    for part in key.split("."):
        node = node[int(part)] if isinstance(node, list) else node[part]
    assert node == value


def test_set_takes_what_follows_spark_conf_for_one_key(small: str) -> None:
    conf = load(
        small,
        [
            "spark.conf={spark.a: 1, spark.executor.memory: 1g}",
            "spark.conf.spark.executor.memory=4g",
            "spark.conf.x=true",
        ],
    ).spark.conf
    assert conf == {"spark.a": 1, "spark.executor.memory": "4g", "x": True}
    assert load(small, ["spark.conf.spark.a.b=1"]).spark.conf == {"spark.a.b": 1}


def test_the_last_of_several_set_wins_and_nothing_is_null(small: str) -> None:
    assert load(small, ["embed.batch_images=4", "embed.batch_images="]).embed.batch_images is None
    with pytest.raises(ConfigError, match=r"^embed.max_failures: must be a valid number, got None"):
        load(small, ["embed.max_failures="])


def test_set_reaches_below_a_null(tmp_path: Path) -> None:
    raw = SMALL | {"networks": [{"name": "net", "preprocessing": None}]}
    path = written(tmp_path, raw)
    network = load(path, ["networks.0.preprocessing.crop=200"]).networks[0]
    assert network.preprocessing is not None
    assert network.preprocessing.crop == 200


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("measure.shuffles", "--set must be KEY=VALUE, got 'measure.shuffles'"),
        ("=3", "--set must be KEY=VALUE, got '=3'"),
        ("spark.conf.=3", "--set must be KEY=VALUE, got 'spark.conf.=3'"),
        ("spark.confs.a=3", "spark.confs: unknown key"),
        ("measure..bins=3", "--set must be KEY=VALUE, got 'measure..bins=3'"),
        ("measure.bins=[", "--set measure.bins: value must be YAML, got '['"),
        ("measure.bins=x", "measure.bins: must be a valid integer, got 'x'"),
        ("measure.bin=3", "measure.bin: unknown key"),
        ("output.bucket=3", "--set output.bucket: unknown key, 'out' has none"),
        ("networks.1.seed=3", "--set networks.1: must be a position from 0 to 0, got '1'"),
        ("networks.-1.seed=3", "--set networks.-1: must be a position from 0 to 0, got '-1'"),
        ("networks.²=3", "--set networks.²: must be a position from 0 to 0, got '²'"),
        ("networks.name=3", "--set networks.name: must be a position from 0 to 0, got 'name'"),
    ],
)
def test_set_refuses(small: str, override: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(small, [override])
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_set_refuses_a_position_in_an_empty_list(tmp_path: Path) -> None:
    path = written(tmp_path, SMALL | {"networks": []})
    with pytest.raises(
        ConfigError, match=r"^--set networks.0: must be in a list that is not empty"
    ):
        load(path, ["networks.0=x"])
