"""What an output holds and a configuration does not name, by networks and datasets alike."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from kdsspark.config import Config, parse
from kdsspark.output import definitions, held
from kdsspark.output.held import Beyond
from kdsspark.output.output import Output
from tests.output.made import DATASETS, NETWORKS, RAW, fill, touch


@pytest.fixture
def output(tmp_path: Path) -> Output:
    made = Output.at(str(tmp_path / "out"))
    fill(made)
    return made


def named(networks: Collection[str], datasets: Collection[str]) -> Config:
    chosen = {
        "networks": [item for item in RAW["networks"] if item["name"] in networks],
        "datasets": [item for item in RAW["datasets"] if item["name"] in datasets],
    }
    return parse(RAW | chosen)


def test_an_empty_output_holds_nothing(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path / "out"))
    assert held.beyond(output, parse(RAW)) == []
    assert held.known(output, "network") == held.known(output, "dataset") == set()


@pytest.mark.parametrize(
    ("networks", "datasets"),
    [
        (NETWORKS, DATASETS),
        (NETWORKS[:1], DATASETS),
        (NETWORKS, DATASETS[-1:]),
        (NETWORKS[1:3], DATASETS[2:4]),
    ],
)
def test_what_is_beyond_are_the_other_names_networks_first(
    output: Output, networks: list[str], datasets: list[str]
) -> None:
    expected = [Beyond("network", name) for name in sorted(set(NETWORKS) - set(networks))]
    expected += [Beyond("dataset", name) for name in sorted(set(DATASETS) - set(datasets))]
    assert held.beyond(output, named(networks, datasets)) == expected


def test_networks_of_ready_made_embeddings_are_configured() -> None:
    ready = {"name": "mine", "embeddings": "/data/mine", "network": "clip"}
    config = parse(
        RAW | {"networks": RAW["networks"][:1], "datasets": [*RAW["datasets"][:1], ready]}
    )
    assert held.configured(config) == {"network": {"a", "clip"}, "dataset": {"birds", "mine"}}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("dataset", "images/dataset=new/part-0.parquet"),
        ("network", "features/network=new/part-0.parquet"),
        ("network", "_networks/new.json"),
    ],
)
def test_one_file_is_enough_to_be_held_and_a_folder_is_not(
    output: Output, kind: definitions.Kind, path: str
) -> None:
    Path(output.path(path)).parent.mkdir(parents=True, exist_ok=True)
    assert "new" not in held.known(output, kind)
    touch(output, path)
    assert "new" in held.known(output, kind)
    assert held.beyond(output, parse(RAW)) == [Beyond(kind, "new")]


@pytest.mark.parametrize("path", ["ks/network=new/dataset=new/labels=true/x.parquet", "new.json"])
def test_other_files_do_not_count(output: Output, path: str) -> None:
    touch(output, path)
    assert held.beyond(output, parse(RAW)) == []


def test_what_has_a_definition_is_known_though_nothing_came_of_it(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path / "out"))
    definitions.record(output, named(["a", "ab"], ["birds"]))
    assert held.known(output, "network") == {"a", "ab"}
    assert held.known(output, "dataset") == {"birds"}
    assert held.beyond(output, named(["a"], ["birds"])) == []


def test_one_line_says_what_it_is_and_how_to_remove_it() -> None:
    assert str(Beyond("dataset", "birds")) == (
        "The output also holds dataset birds, which is not in this configuration; "
        "kdsspark forget --dataset birds removes it."
    )
