"""Networks are resolved once and kept; when their weights change, nothing is mixed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from kdsspark import config
from kdsspark.config import EmbeddingsDataset, Network
from kdsspark.datasets.readymade import Source
from kdsspark.engine.stage import Context
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.network import weights as network_weights
from kdsspark.network.layers import sizes
from kdsspark.network.spec import NetworkSpec
from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.stages.embed import networks
from kdsspark.stages.embed.networks import (
    Prepared,
    layer_sizes,
    layer_widths,
    prepare_networks,
    saved_fingerprint,
    saved_networks,
    whole_crops,
    write_ready_made_features,
)
from kdsspark.tables import FEATURES
from tests.stages.embed.fakes import SPEC
from tests.studies import NETWORK


@dataclass
class Resolver:
    """Resolves networks to ``SPEC`` by the text of their weights; counts how often."""

    names: list[str] = field(default_factory=list)

    def __call__(self, network: Any, target: Path) -> NetworkSpec:
        self.names.append(network.name)
        data = Path(network.weights).read_bytes()
        target.write_bytes(data)
        return replace(SPEC, name=network.name, weights_digest=data.decode())


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    fake = Resolver()
    monkeypatch.setattr(network_weights, "prepare", fake)
    monkeypatch.setattr(network_weights, "whole_crops", lambda _: {"corner": "it is made up"})
    monkeypatch.setattr(sizes, "layer_sizes", lambda _: {"corner": sizes.LayerSize(5, 7)})
    return fake


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return weights(tmp_path / "weights.pth", "abc")


def weights(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def context(output: Output, *networks: dict[str, Any], fresh: bool = False) -> Context:
    raw = {
        "output": output.path(),
        "networks": [NETWORK | network for network in networks],
        "datasets": [{"name": "set", "path": "/images"}],
    }
    return Context(None, output, config.parse(raw), fresh=fresh)


def one(output: Output, file: Path, fresh: bool = False) -> Prepared:
    (found,) = prepare_networks(context(output, {"name": "net", "weights": str(file)}, fresh=fresh))
    return found


def content(output: Output, path: str) -> bytes:
    data: bytes = output.fs.cat_file(output.path(path))
    return data


# -- networks of images --------------------------------------------------------------------------


def test_a_network_is_resolved_once_and_kept_with_its_tensors(
    output: Output, file: Path, resolver: Resolver
) -> None:
    first = one(output, file)
    assert first == Prepared(replace(SPEC, weights_digest="abc"), "_networks/net-abc.safetensors")
    assert content(output, first.weights) == b"abc"
    assert one(output, file) == first
    assert resolver.names == ["net"]
    saved = saved_networks(output, context(output, {"name": "net"}, {"name": "new"}).config)
    assert saved == {"net": first.spec}
    assert saved_fingerprint(output, "net") == first.spec.fingerprint
    assert saved_fingerprint(output, "new") is None
    assert whole_crops(output, "net") == {"corner": "it is made up"}
    assert whole_crops(output, "new") == {}
    assert layer_sizes(output, "net") == {"corner": (5, 7)}
    assert layer_sizes(output, "new") == {}


def test_features_are_the_units_of_the_layers_in_order(
    output: Output, file: Path, resolver: Resolver
) -> None:
    assert layer_widths(output, "net") == {}
    one(output, file)
    assert resolver.names
    rows = parquet.read(output, FEATURES, "net").to_pylist()
    assert [(r["layer"], r["unit"], r["feature"], r["depth"]) for r in rows] == [
        *(("sum", unit, unit, 0) for unit in range(2)),
        *(("corner", unit, 2 + unit, 1) for unit in range(5)),
    ]
    assert layer_widths(output, "net") == {"sum": 2, "corner": 5}


def test_a_file_of_weights_that_was_only_touched_is_read_again_and_accepted(
    output: Output, file: Path, resolver: Resolver
) -> None:
    first = one(output, file)
    os.utime(file, ns=(1, 1))
    assert one(output, file) == first
    assert one(output, file) == first
    assert resolver.names == ["net", "net"]  # once when it was touched, and that is noted


def test_weights_that_are_not_there_any_more_are_not_missed(
    output: Output, file: Path, resolver: Resolver
) -> None:
    first = one(output, file)
    file.unlink()
    assert one(output, file) == first
    assert resolver.names == ["net"]


def test_lost_tensors_are_written_again(output: Output, file: Path, resolver: Resolver) -> None:
    first = one(output, file)
    output.remove(first.weights)
    assert one(output, file) == first
    assert content(output, first.weights) == b"abc"
    assert resolver.names == ["net", "net"]


def test_weights_that_have_changed_are_refused_and_leave_all_as_it_was(
    output: Output, file: Path, resolver: Resolver
) -> None:
    first = one(output, file)
    before = output.versions("")
    weights(file, "other")
    with pytest.raises(ConfigError) as caught:
        one(output, file)
    assert str(caught.value) == (
        f"networks.net.weights: {file} has changed since {output.url} was made: choose another "
        f"output, or --fresh to start it anew"
    )
    assert output.versions("") == before
    assert saved_fingerprint(output, "net") == first.spec.fingerprint
    assert resolver.names == ["net", "net"]


def test_with_fresh_all_of_the_former_weights_goes(
    output: Output, file: Path, resolver: Resolver
) -> None:
    one(output, file)
    for name in ("net", "network"):
        with output.create(f"embeddings/network={name}/dataset=set/shard-1.parquet") as part:
            part.write(b"x")
    weights(file, "other")
    found = one(output, file, fresh=True)
    assert found.spec.weights_digest == "other"
    assert output.files("") == [
        "_networks/net-other.safetensors",
        "_networks/net.json",
        "embeddings/network=network/dataset=set/shard-1.parquet",
        "features/network=net/part-0.parquet",
    ]
    resolver.names.clear()
    assert one(output, file) == found
    assert resolver.names == []


def test_a_real_network_is_kept_as_it_is(output: Output) -> None:
    (found,) = prepare_networks(context(output, {"name": "net"}))
    tensors = load_file(output.path(found.weights))
    assert sum(array.size for array in tensors.values()) > 10_000
    assert {array.dtype for array in tensors.values()} == {np.dtype(np.float32)}
    assert layer_widths(output, "net") == {"conv1": 64, "fire4": 256}  # of SqueezeNet 1.1
    assert saved_fingerprint(output, "net") == found.spec.fingerprint
    again, other = prepare_networks(context(output, {"name": "net"}, {"name": "other", "seed": 5}))
    assert again == found
    assert other.spec.fingerprint != found.spec.fingerprint


# -- ready-made embeddings -----------------------------------------------------------------------


def source(name: str, network: str = "clip", kind: str = "float32", **widths: int) -> Source:
    dataset = EmbeddingsDataset(name=name, network=network, embeddings=f"/{name}.parquet")
    return Source(dataset, (), widths, dict.fromkeys(widths, pa.type_for_alias(kind)))


def test_features_of_ready_made_embeddings_are_those_of_their_layers(output: Output) -> None:
    sources = [source("a", x=2, y=3), source("b", x=2, y=3), source("c", "other", z=1)]
    for _ in range(2):
        write_ready_made_features(output, sources)
        assert layer_widths(output, "clip") == {"x": 2, "y": 3}
        assert layer_widths(output, "other") == {"z": 1}
    rows = parquet.read(output, FEATURES, "clip").to_pylist()
    assert [(r["layer"], r["unit"], r["feature"], r["kind"]) for r in rows] == [
        ("x", 0, 0, "other"),
        ("x", 1, 1, "other"),
        ("y", 0, 2, "other"),
        ("y", 1, 3, "other"),
        ("y", 2, 4, "other"),
    ]


@pytest.mark.parametrize(
    ("other", "got"),
    [
        (source("b", x=2, y=4), "x 2 x float, y 4 x float"),
        (source("b", x=2), "x 2 x float"),
        (source("b", kind="float64", x=2, y=3), "x 2 x double, y 3 x double"),
    ],
)
def test_datasets_of_one_network_have_the_same_layers(
    output: Output, other: Source, got: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        write_ready_made_features(output, [source("a", x=2, y=3), other])
    assert str(caught.value) == (
        "dataset b: network clip must have the layers x 2 x float, y 3 x float of dataset a, "
        f"got {got}"
    )
    assert output.files("") == []


def test_layers_of_an_output_stay_as_they_are(output: Output) -> None:
    write_ready_made_features(output, [source("a", x=2)])
    with pytest.raises(DatasetError) as caught:
        write_ready_made_features(output, [source("b", x=3)])
    assert str(caught.value) == (
        f"dataset b: network clip has the layers {{'x': 2}} in {output.url}, got {{'x': 3}}: "
        "choose another network name or output, or kdsspark forget --network clip"
    )
    assert layer_widths(output, "clip") == {"x": 2}


def test_a_folder_of_transformers_counts_as_changed_when_a_file_of_it_has(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text(name)
    network = Network(name="n", architecture=f"hf/{tmp_path}", weights="pretrained")
    before = networks._source_version(network)
    (tmp_path / "README.md").write_text("more than before")
    assert networks._source_version(network) == before
    (tmp_path / "model.safetensors").write_text("others")
    assert networks._source_version(network) != before
    other = network.model_copy(update={"weights": "random"})
    assert networks._source_version(other) == ""
