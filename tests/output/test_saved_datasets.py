"""Datasets as outputs of earlier versions saved them: one section with the keys of both kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark.config import parse
from kdsspark.output import definitions
from kdsspark.output.output import Output

# What version 0.1 wrote for a dataset of images, and for one of ready-made embeddings.
IMAGES: dict[str, Any] = {
    "name": "birds",
    "path": "/data/birds",
    "layout": "folder",
    "split": None,
    "embeddings": None,
    "label": "class_name",
    "network": "given",
}
EMBEDDINGS: dict[str, Any] = {
    "name": "mine",
    "path": None,
    "layout": "folder",
    "split": None,
    "embeddings": "/data/mine",
    "label": "species",
    "network": "clip",
}
NOW: dict[str, Any] = {
    "networks": [{"name": "net"}],
    "datasets": [
        {"name": "birds", "path": "/data/birds", "group": "a"},
        {"name": "mine", "embeddings": "/data/mine", "label": "species", "network": "clip"},
    ],
}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output.at(str(tmp_path))


def config(output: Output, **datasets: dict[str, Any]) -> Any:
    sections = [section | datasets.get(section["name"], {}) for section in NOW["datasets"]]
    return parse(NOW | {"output": output.url, "datasets": sections})


def test_definitions_are_saved_as_before(output: Output) -> None:
    definitions.record(output, config(output))
    saved = output.read_json("_definitions.json")
    assert saved["datasets.birds"] == IMAGES | {"background": False, "labels": "one"}
    assert saved["datasets.mine"] == EMBEDDINGS | {"background": False, "labels": "one"}


@pytest.mark.parametrize(
    ("birds", "mine"),
    [
        ({}, {}),
        # Keys of the other kind, which earlier versions took from the YAML and saved.
        ({"label": "x", "network": "y"}, {"layout": "imagenet"}),
    ],
)
def test_an_output_of_an_earlier_version_goes_on(
    output: Output, birds: dict[str, Any], mine: dict[str, Any]
) -> None:
    saved = {"datasets.birds": IMAGES | birds, "datasets.mine": EMBEDDINGS | mine}
    output.write_json("_definitions.json", saved)
    assert definitions.changes(output, config(output)) == []
    assert definitions.changes(output, config(output, birds=birds, mine=mine)) == []


@pytest.mark.parametrize(
    ("name", "keys", "difference"),
    [
        ("birds", {"path": "/x"}, "path was '/data/birds' and is now '/x'"),
        ("birds", {"split": "test"}, "split was None and is now 'test'"),
        ("mine", {"label": "genus"}, "label was 'species' and is now 'genus'"),
    ],
)
def test_a_change_is_named_by_its_key(
    output: Output, name: str, keys: dict[str, Any], difference: str
) -> None:
    output.write_json("_definitions.json", {"datasets.birds": IMAGES, "datasets.mine": EMBEDDINGS})
    (change,) = definitions.changes(output, config(output, **{name: keys}))
    assert (change.kind, change.name, change.difference) == ("dataset", name, difference)


def test_a_dataset_of_images_that_becomes_one_of_embeddings_has_changed(output: Output) -> None:
    output.write_json("_definitions.json", {"datasets.birds": IMAGES})
    raw = NOW | {"output": output.url, "datasets": [{"name": "birds", "embeddings": "/data/e"}]}
    (change,) = definitions.changes(output, parse(raw))
    assert change.difference == (
        "path was '/data/birds' and is now None, embeddings was None and is now '/data/e'"
    )


def test_a_key_that_is_new_to_an_output_had_its_default(output: Output) -> None:
    older = {key: value for key, value in IMAGES.items() if key != "split"}
    output.write_json("_definitions.json", {"datasets.birds": older})
    assert definitions.changes(output, config(output)) == []
    (change,) = definitions.changes(output, config(output, birds={"split": "test"}))
    assert change.difference == "split was None and is now 'test'"
