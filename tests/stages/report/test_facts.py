"""What the report says of a run and its networks."""

from __future__ import annotations

import pytest
import torchvision
import yaml

from kdsspark.output.names import ItemName, Pair
from kdsspark.output.receipts import Receipt
from kdsspark.pipeline.study import Study
from kdsspark.stages.report import facts

pytestmark = pytest.mark.usefixtures("without_spark")


def test_a_run_has_its_time_and_its_configuration(fruit: Study) -> None:
    seconds = {"compute": 1.5, "read": 0.25}
    made = [Receipt(ItemName(f"tiny/fruit/{n}"), "", {}, seconds) for n in range(2)]
    info = facts.run_info(fruit.config, made)
    assert info["duration_s"] == 3.5
    assert info["when"].endswith(" UTC")
    assert yaml.safe_load(info["configuration"])["measure"]["bins"] == 20


def test_a_network_is_described_by_what_was_prepared(fruit: Study) -> None:
    (info,) = facts.networks(fruit.output, fruit.config)
    modules = dict(torchvision.models.squeezenet1_1(weights=None).named_modules())
    conv1, fire4 = modules["features.0"], modules["features.6"]
    widths = conv1.out_channels, fire4.expand1x1.out_channels + fire4.expand3x3.out_channels
    assert (info["layers"], info["features"]) == (2, sum(widths))
    assert (info["name"], info["architecture"], info["random"]) == ("tiny", "squeezenet1_1", True)
    assert info["preprocessing"] is not None
    assert info["preprocessing"].startswith("short side 40 (bilinear), crops of 32")
    sizes = facts.sizes(fruit.output, fruit.config).set_index("layer")
    assert sizes.loc["conv1", "parameters"] == sum(p.numel() for p in conv1.parameters())


def test_kinds_of_processors_are_rows() -> None:
    kinds = {Pair("n", "d"): {"a": 2, "b": 3}, Pair("n", "e"): {"a": 1}}
    assert facts.computed_on(kinds) == [
        {"network": "n", "dataset": "d", "computed_on": "a", "images": 2},
        {"network": "n", "dataset": "d", "computed_on": "b", "images": 3},
        {"network": "n", "dataset": "e", "computed_on": "a", "images": 1},
    ]
