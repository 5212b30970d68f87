"""Findings about other source networks: the numbers they state, from the frames of both."""

from __future__ import annotations

import pandas as pd

from kdsspark.report.findings import findings
from tests.report import worlds

Frames = dict[str, pd.DataFrame]


def test_networks_are_compared_by_dataset(published: Frames, by_imagenet: pd.DataFrame) -> None:
    rows = published["figure6"].query("kind == 'conv'")
    curves = rows.pivot(index="bin", columns=["network", "dataset"], values="percent") / 100
    one, other = (curves[network] for network in (worlds.IMAGENET, worlds.PLACES))
    between = (abs(one - other).sum() / 2).mean()
    pairs = [abs(one[a] - one[b]).sum() / 2 for a in one for b in one if a < b]
    assert by_imagenet["number"]["sources_alike"] == (
        f"networks differ by {between:.3f}, datasets by {sum(pairs) / len(pairs):.3f}"
    )


def test_gaps_of_scenes_are_those_of_fc_layers(published: Frames, by_places: pd.DataFrame) -> None:
    rows = published["figure5"].query("kind == 'fc' and dataset == 'mit67'")
    gaps = rows.groupby(["network", "depth"])["mode"].sum().groupby("network").mean()
    assert by_places["number"]["scenes_at_home"] == (
        f"gap {gaps[worlds.PLACES]:.3f} in vgg16-places, {gaps[worlds.IMAGENET]:.3f} in the others"
    )


def test_one_network_has_nothing_to_be_compared_with(imagenet: Frames) -> None:
    rows = findings(worlds.IMAGENET, imagenet, worlds.GROUPS).query("section == '8'")
    assert set(rows["holds"]) == {"not testable here"}
    assert set(rows["number"]) == {
        "because it needs another network, for Places (with places in its name)",
        "because it is about a network with places in its name",
    }
