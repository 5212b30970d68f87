"""What a configuration may hold, and the one line that says what is wrong with it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsspark import tables
from kdsspark.config import Config, Dataset, EmbeddingsDataset, Exemplars, ImageDataset, load, parse
from kdsspark.config.types import RESERVED_LAYERS
from tests.config.raw import SMALL, refusal, with_key, written

# As documented, but for the comments that stand for other values.
DOCUMENTED = """
output: out/demo                  # local path or any fsspec URL (s3://, gs://, hdfs://, file://)
networks:
  - name: vgg16-imagenet
    architecture: vgg16           # a torchvision classification model
    weights: IMAGENET1K_V1        # torchvision weights name | path or URL of a state dict
                                  #   (.pth/.pt read with weights_only, .safetensors) | random
    seed: 0                       # for weights: random
    layers: null                  # null: all 15 of VGG16 (or the like of VGG19, AlexNet);
                                  #   else {layer name: module path}, e.g. {fire9: features.12}
    activation: post_relu         # post_relu | pre_relu
    pooling: mean                 # mean | max over space
    tokens: mean                  # of vision transformers: mean | cls | cls+mean
    crops: ten                    # ten | center | twelve
    preprocessing: null           # null: what the weights name; else
                                  #   {resize: 256, crop: 224, mean: [..], std: [..], ...}
    precision: float32            # float32 | bfloat16
datasets:
  - {name: flowers102, path: /data/flowers, layout: folder}        # class = first folder below path
  - {name: birds, path: /data/birds.csv, layout: manifest}         # columns path,label
  - {name: mine, embeddings: /data/mine, label: class_name, network: clip}   # ready-made Parquet
spark: {master: "local[*]", conf: {}}    # defaults only: what spark-submit sets wins
embed: {shard_images: 512, batch_images: null, decode_threads: null, max_failures: 0.01}
measure: {bins: 100, shuffles: 1, seed: 0, exact: true, histograms: true}
"""


def test_the_documented_block_is_a_configuration_and_shows_the_defaults(tmp_path: Path) -> None:
    documented = yaml.safe_load(DOCUMENTED)
    full = load(written(tmp_path, DOCUMENTED)).model_dump(mode="json")
    short = copy.deepcopy(documented)
    short["networks"] = [{"name": "vgg16-imagenet"}]
    del short["datasets"][0]["layout"], short["datasets"][2]["label"]
    for section in ("spark", "embed", "measure"):
        for key, value in documented[section].items():
            assert full[section][key] == value
        del short[section]
    assert full["networks"] == documented["networks"]
    assert parse(short).model_dump(mode="json") == full


def test_preprocessing_given_in_part_takes_the_documented_rest() -> None:
    preprocessing = parse(with_key("networks.0.preprocessing", {"resize": 232})).networks[0]
    assert preprocessing.model_dump(mode="json")["preprocessing"] == {
        "resize": 232,
        "crop": 224,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "channels": "rgb",
        "scale": 1,
        "interpolation": "bilinear",
    }


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("colour", 1, "colour: unknown key, must be one of output, networks, datasets, spark"),
        ("measure.bin", 50, "measure.bin: unknown key, must be one of bins, shuffles, seed, exact"),
        ("networks.0.weight", "x", "networks.0.weight: unknown key, must be one of name, arch"),
        (
            "networks.0.preprocessing",
            {"resiz": 256},
            "networks.0.preprocessing.resiz: unknown key, must be one of resize, crop",
        ),
        ("measure.bins", "50", "measure.bins: must be a valid integer, got '50'"),
        ("measure.bins", True, "measure.bins: must be a valid integer, got True"),
        ("measure.bins", 1, "measure.bins: must be greater than or equal to 2, got 1"),
        ("measure.shuffles", 0, "measure.shuffles: must be greater than or equal to 1, got 0"),
        ("measure.exact", "yes", "measure.exact: must be a valid boolean, got 'yes'"),
        ("measure.memory", "a lot", "measure.memory: must be a size such as 512MiB or 2GiB, got"),
        ("measure.memory", "1KiB", "measure.memory: must be at least 16KiB, got '1KiB'"),
        ("measure", None, "measure: must be a mapping of keys, got None"),
        ("embed.max_failures", 1.5, "embed.max_failures: must be less than or equal to 1, got 1.5"),
        (
            "embed.max_failures",
            float("nan"),
            "embed.max_failures: must be a finite number, got nan",
        ),
        ("embed.shard_images", 0, "embed.shard_images: must be greater than or equal to 1, got 0"),
        ("embed.image_seconds", 0, "embed.image_seconds: must be greater than 0, got 0"),
        ("spark.conf", {"a.b": [1]}, "spark.conf.a.b: must be text, a number, true or false, got"),
        ("spark.conf", "x", "spark.conf: must be a mapping of keys, got 'x'"),
        ("output", "", "output: must have at least 1 character, got ''"),
        ("output", 3, "output: must be text in quotes, got 3"),
        ("networks", {"name": "n"}, "networks: must be a list, got {'name': 'n'}"),
        ("networks", ["vgg16"], "networks.0: must be a mapping of keys, got 'vgg16'"),
        ("networks", [], "networks must not be empty where a dataset has images, got none"),
        (
            "networks.0.name",
            "1st",
            "networks.0.name: must match [A-Za-z][A-Za-z0-9_.-]*, got '1st'",
        ),
        (
            "datasets.0.name",
            "a/b",
            "datasets.0.name: must match [A-Za-z][A-Za-z0-9_.-]*, got 'a/b'",
        ),
        ("datasets.0.name", "a\n", "datasets.0.name: must match"),
        ("networks.0.layers", {"a=b": "f.1"}, "networks.0.layers: names must match"),
        ("networks.0.layers", {"fire": 9}, "networks.0.layers.fire: must be text in quotes, got 9"),
        ("networks.0.crops", "nine", "networks.0.crops: must be 'ten', 'center' or 'twelve', got"),
        (
            "networks.0.preprocessing",
            {"crop": 300},
            "networks.0.preprocessing: crop must be at most",
        ),
        (
            "networks.0.preprocessing",
            {"std": [1, 0, 1]},
            "networks.0.preprocessing: std must be pos",
        ),
        ("networks.0.preprocessing", {"mean": [1, 2]}, "networks.0.preprocessing.mean.2: must be"),
        (
            "networks.0.preprocessing",
            {"mean": [1, 2, "3"]},
            "networks.0.preprocessing.mean.2: must",
        ),
        ("datasets", [], "datasets: must have at least 1 item, got []"),
        (
            "datasets",
            [{"name": "a"}],
            "datasets.0: must have either path or embeddings, got neither",
        ),
        (
            "datasets",
            [{"name": "a", "path": "p", "embeddings": "e"}],
            "datasets.0: must have either path or embeddings, got both",
        ),
        ("datasets", [{"path": "p"}], "datasets.0.name: must be given, got nothing"),
        ("datasets", ["birds"], "datasets.0: must be a mapping of keys, got 'birds'"),
        (
            "datasets",
            [{"name": "a", "pth": "p"}],
            "datasets.0.pth: unknown key, must be one of name, ",
        ),
        ("datasets", [{"name": "a", "path": 3}], "datasets.0.path: must be text in quotes, got 3"),
        ("datasets", [{"name": "a", "embeddings": 3}], "datasets.0.embeddings: must be text in qu"),
        ("datasets.0.layout", "fodler", "datasets.0.layout: must be 'folder', 'manifest', 'webdat"),
        ("datasets.0.label", 3, "datasets.0.label: must be text in quotes, got 3"),
        (
            "datasets",
            [{"name": "a", "embeddings": "e", "split": "test"}],
            "datasets.0: split must be null where embeddings are given, got 'test'",
        ),
        (
            "datasets",
            [{"name": "a", "embeddings": "e", "background": True}],
            "datasets.0: background must be false where embeddings are given, got true",
        ),
        (
            "datasets",
            [{"name": "a", "embeddings": "e", "labels": "several"}],
            "datasets.0: labels must be one where embeddings are given (several only with manifes",
        ),
        (
            "datasets",
            [{"name": "a", "path": "p", "labels": "several"}],
            "datasets.0: labels must be one with layout folder (several only with manifest), got ",
        ),
        ("datasets.0.labels", "many", "datasets.0.labels: must be 'one' or 'several', got 'many'"),
        (
            "datasets",
            [{"name": "a", "path": "p"}, {"name": "a", "path": "q"}],
            "datasets must have different names, got 'a' twice",
        ),
        ("networks", [{"name": "n"}, {"name": "n"}], "networks must have different names, got 'n'"),
        (
            "datasets",
            [{"name": "a", "path": "p"}, {"name": "b", "embeddings": "e", "network": "net"}],
            "networks must not be named like the network of ready-made embeddings, got 'net'",
        ),
        ("measure", "y\n" * 1000, "measure: must be a mapping of keys, got 'y\\ny"),
        (
            "exemplars.dataset",
            "brids",
            "exemplars.dataset must be null or the name of a dataset, got 'brids'",
        ),
        *(
            (
                "experiments.sources",
                {name: None for name in names},
                f"experiments.sources must be null or have two or more networks of the "
                f"configuration, got {', '.join(names) or 'none'}",
            )
            for names in ([], ["net"], ["net", "ten"])
        ),
        (
            "experiments.sources",
            {"net": 6, "clip": None},
            "experiments.sources.net: must be text in quotes, got 6",
        ),
        *(
            (
                f"experiments.{key}",
                {name: value},
                f"experiments.{key} must have names of datasets with images, got {name!r}",
            )
            for key, value in (("images", None), ("parts", "parts.csv"))
            for name in ("brids", "b")
        ),
        (
            "experiments.images",
            {"a": []},
            "experiments.images.a: must have at least 1 item, got []",
        ),
        ("exemplars.dataset", 3, "exemplars.dataset: must be text in quotes, got 3"),
        ("exemplars.top", 0, "exemplars.top: must be greater than or equal to 1, got 0"),
        ("exemplars.top", 101, "exemplars.top: must be less than or equal to 100, got 101"),
        ("exemplars.crops", "twelve", "exemplars.crops: must be 'center' or 'ten', got 'twelve'"),
        ("exemplars.tpo", 3, "exemplars.tpo: unknown key, must be one of dataset, top, crops"),
        ("exemplars", None, "exemplars: must be a mapping of keys or false, got None"),
        ("exemplars", True, "exemplars: must be a mapping of keys or false, got True"),
        ("exemplars", 0, "exemplars: must be a mapping of keys or false, got 0"),
        (
            "exemplars",
            {"dataset": False, "top": 0},
            "exemplars.top: must be greater than or equal to 1, got 0",
        ),
    ],
)
def test_one_line_names_the_key_what_it_must_be_and_what_it_got(
    key: str, value: Any, line: str
) -> None:
    assert refusal(with_key(key, value)).startswith(line)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, Exemplars(dataset=None, top=9, crops="center")),
        ({"dataset": "birds", "top": 100}, Exemplars(dataset="birds", top=100)),
        (False, False),
        ({"dataset": False, "top": 3}, False),
    ],
)
def test_exemplars(raw: Any, expected: Exemplars | bool) -> None:
    config = parse(with_key("exemplars", raw))
    assert config.exemplars == expected
    assert parse(config.model_dump(mode="json")) == config


def test_a_missing_key_is_named() -> None:
    assert refusal({}) == "output: must be given, got nothing"


def test_layers_cannot_be_named_like_the_columns_they_stand_beside() -> None:
    fixed = {column.name for column in tables.EMBEDDINGS.columns}
    assert fixed | set(tables.EMBEDDINGS.partitioned_by) == RESERVED_LAYERS
    for name in [*RESERVED_LAYERS, "Dataset", "CLASS_ID"]:
        line = refusal(with_key("networks.0.layers", {name: "features.1"}))
        assert line == f"networks.0.layers: names must not be those of columns, got '{name}'"


def test_layers_must_differ_by_more_than_case() -> None:
    line = refusal(with_key("networks.0.layers", {"fc6": "a", "conv": "b", "FC6": "c"}))
    assert line == "networks.0.layers: names must differ by more than case, got 'fc6', 'FC6'"


@pytest.mark.parametrize(
    ("key", "largest"),
    [
        ("networks.0.seed", 2**63 - 1),
        ("measure.seed", 2**63 - 1),
        ("embed.shard_images", 65_536),
    ],
)
def test_what_must_fit_a_machine_integer_is_bounded(key: str, largest: int) -> None:
    parse(with_key(key, largest))
    line = refusal(with_key(key, largest + 1))
    assert line == f"{key}: must be less than or equal to {largest}, got {largest + 1}"


def test_no_network_is_needed_where_every_dataset_is_ready_made() -> None:
    ready = {"name": "mine", "embeddings": "/data/mine"}
    assert parse({"output": "o", "datasets": [ready]}).pairs()[0][0] == "given"


def test_a_dataset_is_of_images_or_of_embeddings() -> None:
    raw = with_key("datasets.0.split", "test")
    raw["datasets"].append({"name": "mine", "embeddings": "e"})
    images, embeddings = parse(raw).datasets
    assert images == ImageDataset(name="birds", path="/data", split="test")
    assert embeddings == EmbeddingsDataset(name="mine", embeddings="e")
    assert not hasattr(images, "embeddings")
    assert not hasattr(embeddings, "path")
    assert parse(raw).image_datasets == [images]
    assert parse(raw).embeddings_datasets == [embeddings]


@pytest.mark.parametrize(
    ("section", "foreign"),
    [
        ({"path": "p"}, {"embeddings": None, "label": "class_name", "network": "given"}),
        ({"path": "p"}, {"label": "x", "network": "y"}),
        ({"embeddings": "e"}, {"path": None, "layout": "folder", "split": None}),
        ({"embeddings": "e"}, {"layout": "manifest"}),
    ],
)
def test_keys_of_the_other_kind_mean_nothing(
    section: dict[str, Any], foreign: dict[str, Any]
) -> None:
    def dataset(**keys: Any) -> Dataset:
        return parse(with_key("datasets", [{"name": "a", **keys}])).datasets[0]

    assert dataset(**section, **foreign) == dataset(**section)


def test_a_dataset_is_dumped_with_the_keys_of_both_kinds() -> None:
    raw = with_key("datasets.0.group", "g")
    raw["datasets"].append({"name": "mine", "embeddings": "e"})
    defaults = {"layout": "folder", "split": None, "background": False, "rank": None}
    defaults |= {"label": "class_name", "network": "given", "labels": "one"}
    assert parse(raw).model_dump(mode="json")["datasets"] == [
        {"name": "birds", "path": "/data", "embeddings": None, "group": "g", **defaults},
        {"name": "mine", "path": None, "embeddings": "e", "group": None, **defaults},
    ]


def test_pairs_come_in_the_order_of_the_file() -> None:
    raw = with_key("networks", [{"name": "b"}, {"name": "a"}])
    raw["datasets"] = [
        {"name": "z", "path": "p"},
        {"name": "mine", "embeddings": "e", "network": "clip"},
        {"name": "y", "path": "q"},
    ]
    pairs = [(network, dataset.name) for network, dataset in parse(raw).pairs()]
    assert pairs == [("b", "z"), ("b", "y"), ("a", "z"), ("a", "y"), ("clip", "mine")]


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(SMALL).measure.bins = 3  # type: ignore[misc]


def test_a_configuration_survives_its_own_dump() -> None:
    full = parse(yaml.safe_load(DOCUMENTED))
    assert Config.model_validate(full.model_dump(mode="json")) == full
