"""Which images are read again for maps, and which layers are wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kdsspark import config
from kdsspark.config import Probe
from kdsspark.errors import DatasetError
from kdsspark.network.spec import Layer
from kdsspark.pipeline.study import Study
from kdsspark.stages.experiments.spatial.reading import named_layers
from tests.stages.experiments import maps, studies
from tests.stages.experiments.spatial.both import BOTH, EACH, PARTS, embedded_in, rows, standing
from tests.studies import run, write_images

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.mark.parametrize("name", EACH)
def test_images_are_read_once_also_for_other_settings(
    embedded: Study, read: list[int], name: str
) -> None:
    studies.experiment(embedded, name)
    assert sum(read) == 11
    assert standing(embedded, name) == ("done", PARTS[name])
    before = rows(embedded, BOTH[name])
    studies.experiment(embedded, name)
    assert rows(embedded, BOTH[name]) == before
    changed = studies.experiment(embedded, name, probe=Probe(folds=3))
    assert {row["folds"] for row in rows(changed, BOTH[name])} == {3}
    assert sum(read) == 11


@pytest.mark.parametrize("name", EACH)
def test_it_goes_on_where_it_was_killed_or_files_were_removed(
    embedded: Study, read: list[int], name: str
) -> None:
    studies.experiment(embedded, name)
    before, output = rows(embedded, BOTH[name]), embedded.output
    (shard, *_) = output.receipts(f"{name}_images").of(maps.PAIR)
    output.receipts(f"{name}_images").remove(shard)
    (*_, lost) = output.all_files("_grids" if name == "grids" else "_maps")
    output.remove(lost)
    (part, *_) = output.receipts(name).of(maps.PAIR)
    output.receipts(name).remove(part)
    studies.experiment(embedded, name)
    assert 11 < sum(read) < 22
    assert rows(embedded, BOTH[name]) == before


@pytest.mark.parametrize("name", EACH)
def test_of_new_images_the_shards_that_change_are_read(
    folder: Path, read: list[int], name: str
) -> None:
    write_images(folder / "set", {"a": 6, "b": 5})
    config = maps.config_of(folder / "set", embed={"shard_images": 2, "batch_images": 1})
    studies.experiment(run(config, maps.ALL), name)
    write_images(folder / "set", {"a": 8, "b": 5})
    made = studies.experiment(run(config, maps.ALL), name)
    assert 11 + 2 <= sum(read) < 11 + 13
    assert {row["n_train"] + row["n_test"] for row in rows(made, BOTH[name])} == {13}
    afresh = maps.config_of(folder / "set", "afresh")
    again = studies.experiment(run(afresh, maps.ALL), name)
    key = ["layer", *[c for c in ("form", "pooling", "grid") if c in BOTH[name].schema.names]]
    tables = [
        studies.table(one, BOTH[name]).sort_values(key)["accuracy"].tolist()
        for one in (made, again)
    ]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("name", EACH)
def test_what_can_no_longer_be_read_is_left_out(folder: Path, name: str) -> None:
    embedded = embedded_in(folder)
    (folder / "set" / "a" / "001.png").unlink()
    (folder / "set" / "b" / "002.png").write_bytes(b"no image")
    studies.experiment(embedded, name)
    assert {row["n_train"] + row["n_test"] for row in rows(embedded, BOTH[name])} == {9}
    receipts = embedded.output.receipts(f"{name}_images").of(maps.PAIR).values()
    assert sum(receipt.counts["failed"] for receipt in receipts) == 2


LAYERS = {depth: Layer(f"l{depth}", "", 1, "conv", 1) for depth in (1, 4, 5)}


@pytest.mark.parametrize(
    ("chosen", "depths"), [(None, [1, 4, 5]), (["l5", "l1", "of another"], [1, 5])]
)
def test_layers_keep_their_depths(chosen: Any, depths: list[int]) -> None:
    made = config.parse(
        {
            "output": "/out",
            "networks": [{"name": "tiny"}],
            "datasets": [{"name": "set", "path": "/set"}],
            "experiments": {"layers": chosen},
        }
    )
    assert named_layers(made, maps.PAIR, LAYERS) == {depth: LAYERS[depth] for depth in depths}
    if chosen:
        with pytest.raises(DatasetError, match=r"a layer of tiny \(l4\), got l5, l1, of another"):
            named_layers(made, maps.PAIR, {4: LAYERS[4]})
