"""``conf/paper.yaml``: the paper's two networks and eleven datasets, each one line to drop."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kdsspark import config, paper

PATH = Path(__file__).parents[2] / "conf" / "paper.yaml"


def test_holds_the_papers_datasets_and_groups() -> None:
    loaded = config.load(str(PATH))
    published = paper.DATASETS.set_index("dataset")["group"].to_dict()
    assert {dataset.name: dataset.group for dataset in loaded.datasets} == published
    assert all(dataset.layout == dataset.name for dataset in loaded.datasets)
    assert [d.name for d in loaded.datasets if d.split] == ["food101"]
    assert len(loaded.pairs()) == 22


@pytest.mark.parametrize("name", [*paper.DATASETS["dataset"], "vgg16-imagenet", "vgg16-places"])
def test_every_dataset_and_network_is_one_line(name: str) -> None:
    lines = PATH.read_text().splitlines()
    left = [line for line in lines if f"{{name: {name}," not in line]
    assert len(left) == len(lines) - 1
    parsed = config.parse(yaml.safe_load("\n".join(left)))
    assert name not in {item.name for item in (*parsed.networks, *parsed.datasets)}
