"""Names: of work items, of pairs, of files."""

from __future__ import annotations

import json
import pickle

import pytest

from kdsspark.output.names import ItemName, Pair, networks_in, partition_values, side_by_side, stem


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ks/dataset=a/x-1.parquet", "x-1"),
        ("x.parquet", "x"),
        ("thresholds/network=a/birds.json.parquet", "birds.json"),  # a dataset "birds.json"
        ("a.b/c", "c"),
    ],
)
def test_a_file_is_named_without_folder_and_ending(path: str, name: str) -> None:
    assert stem(path) == name


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("ks/network=a/dataset=b/x-1.parquet", {"network": "a", "dataset": "b"}),
        ("_ranges/network=a.b/x=y=z.parquet", {"network": "a.b"}),  # the file's name does not count
        ("report/index.html", {}),
        ("ks/dataset=a=b/x", {"dataset": "a=b"}),
    ],
)
def test_folders_name_the_values_of_partition_columns(path: str, values: dict[str, str]) -> None:
    assert partition_values(path) == values


@pytest.mark.parametrize("networks", [["vgg16"], ["a", "a.b", "a-b_c"]])
def test_several_networks_have_a_name_together(networks: list[str]) -> None:
    assert networks_in(side_by_side(networks)) == networks
    assert side_by_side(["b", "a"]) == "b+a"


@pytest.mark.parametrize(
    ("name", "folder", "part"),
    [
        ("vgg16/birds/shard-12ab", "vgg16/birds", "shard-12ab"),
        ("vgg16/birds", "vgg16", "birds"),
        ("report", "", "report"),
    ],
)
def test_the_last_piece_of_an_item_names_its_files(name: str, folder: str, part: str) -> None:
    item = ItemName(name)
    assert (item.folder, item.part) == (folder, part)


def test_a_pair_names_the_items_of_it() -> None:
    pair = Pair("vgg16", "a.b")
    assert pair == ("vgg16", "a.b")
    assert str(pair) == f"{pair}" == "vgg16/a.b"
    assert pair.name == ItemName("vgg16/a.b")
    assert pair.item("shard-1") == ItemName("vgg16/a.b/shard-1")
    assert (pair.item("shard-1").folder, pair.item("shard-1").part) == (str(pair), "shard-1")
    assert pair.name.pair == pair.item("shard-1").pair == pair


def test_names_are_strings_that_travel() -> None:
    item = Pair("net", "set").item("slice-0")
    copy = pickle.loads(pickle.dumps(item))
    assert (copy, copy.part, type(copy)) == (item, "slice-0", ItemName)
    assert json.dumps({item: item}) == '{"net/set/slice-0": "net/set/slice-0"}'
    assert pickle.loads(pickle.dumps(Pair("net", "set"))) == Pair("net", "set")
