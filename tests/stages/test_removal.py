"""Removing what came from one network or one dataset: all of it, nothing else, in a safe order."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsspark.output.definitions import Kind
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.output.store import Store
from kdsspark.stages import EVERY, removal
from kdsspark.tables import FEATURES, IMAGES
from tests.output.made import (
    BY_PAIR,
    DATASETS,
    NETWORKS,
    fill,
    n_files,
    of_dataset,
    of_network,
    touch,
)

OF = {"network": of_network, "dataset": of_dataset}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """An output in which every network and dataset has every kind of file."""
    output = Output.at(str(tmp_path))
    fill(output)
    return output


@pytest.mark.parametrize("name", NETWORKS)
def test_all_of_a_network_goes_and_nothing_else(output: Output, name: str) -> None:
    before = output.files("")
    gone = {path for path in before if of_network(path, name)}
    assert len(gone) == 1 + 2 + n_files([name], DATASETS)
    removal.remove(output, "network", name)
    assert output.files("") == [path for path in before if path not in gone]


@pytest.mark.parametrize("name", DATASETS)
def test_all_of_a_dataset_goes_and_nothing_else(output: Output, name: str) -> None:
    before = output.files("")
    gone = {path for path in before if of_dataset(path, name)}
    assert len(gone) == 2 + n_files(NETWORKS, [name])
    removal.remove(output, "dataset", name)
    assert output.files("") == [path for path in before if path not in gone]


def test_the_weights_of_a_network_are_those_of_its_record(output: Output) -> None:
    weights = "_networks/a-89ab.safetensors"  # of weights that have changed since
    output.write_json("_networks/a.json", {"weights": weights})
    touch(output, weights)
    removal.remove(output, "network", "a")
    assert [path for path in output.files("_networks") if path.startswith("_networks/a-")] == [
        "_networks/a-0123.safetensors"
    ]


def test_what_is_not_there_can_be_removed(output: Output) -> None:
    before = output.files("")
    removal.remove(output, "network", "none")
    removal.remove(output, "dataset", "none")
    assert output.files("") == before


@pytest.mark.parametrize(("kind", "name"), [("network", "a"), ("dataset", "birds")])
def test_receipts_go_first_and_what_shows_that_something_is_left_goes_last(
    output: Output, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str
) -> None:
    removed: list[str] = []
    remove = Store.remove

    def noting(self: Store, path: str) -> None:
        removed.append(path)
        remove(self, path)

    monkeypatch.setattr(Store, "remove", noting)
    removal.remove(output, kind, name)
    folders = [path.split("/")[0] for path in removed]
    n_receipts = 3 * len(DATASETS if kind == "network" else NETWORKS)
    assert folders[:n_receipts] == ["_receipts"] * n_receipts
    assert folders.count("_receipts") == n_receipts
    assert folders[-1] == ("_networks" if kind == "network" else "images")


@pytest.mark.parametrize(("kind", "name"), [("network", "a"), ("dataset", "birds")])
def test_an_interrupted_removal_is_taken_up(
    output: Output, monkeypatch: pytest.MonkeyPatch, kind: Kind, name: str
) -> None:
    remove = Store.remove
    removed: list[str] = []
    n_files = sum(OF[kind](path, name) for path in output.files(""))

    def killed_before_the_last(self: Store, path: str) -> None:
        if len(removed) == n_files - 1:
            raise KeyboardInterrupt
        removed.append(path)
        remove(self, path)

    monkeypatch.setattr(Store, "remove", killed_before_the_last)
    with pytest.raises(KeyboardInterrupt):
        removal.remove(output, kind, name)
    monkeypatch.undo()
    (left,) = (path for path in output.files("") if OF[kind](path, name))
    assert (
        left
        == {
            "network": "_networks/a.json",
            "dataset": "images/dataset=birds/part-0.parquet",
        }[kind]
    )
    removal.remove(output, kind, name)
    assert not [path for path in output.files("") if OF[kind](path, name)]


def test_every_folder_that_a_stage_declares_is_looked_through(tmp_path: Path) -> None:
    """A new table or folder of a stage needs no line in the code that removes."""
    output, pair = Output.at(str(tmp_path)), Pair("net", "set")
    tables = [table for stage in EVERY for table in stage.tables]
    assert {*BY_PAIR, IMAGES, FEATURES} <= set(tables)
    for table in tables:
        known = {"network": "net", "dataset": "set"}
        values = [known.get(column, "x") for column in table.partitioned_by]
        touch(output, table.part("set" if table.file_of == "dataset" else "part-0", *values))
    for stage in EVERY:
        for folder in stage.beside:
            touch(output, output.beside(folder, pair, "part-0"))
    for kind, name in (("network", "net"), ("dataset", "set")):
        removal.remove(output, kind, name)  # type: ignore[arg-type]
    assert output.files("") == []
