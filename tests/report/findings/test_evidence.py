"""The evidence of findings: frames of one network, and the arithmetic on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kdsspark.report.findings import evidence
from kdsspark.report.findings.evidence import Evidence, NotTestable
from tests.report import worlds

Frames = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def world(published: Frames) -> Evidence:
    return Evidence(worlds.IMAGENET, published, worlds.GROUPS)


def test_correlation_is_that_of_ranks() -> None:
    x, y = np.random.default_rng(0).integers(0, 5, (2, 12))
    ranks = pd.DataFrame({"x": x, "y": y}).rank()
    rho = evidence.rank_correlation(x, y)
    assert rho == pytest.approx(ranks.corr().loc["x", "y"])
    # 1 - 6 * 4 / (5 * 24), where 4 is the sum of the squared differences of ranks.
    rho = evidence.rank_correlation([1, 2, 3, 4, 9], [20, 10, 40, 30, 50])
    assert rho == pytest.approx(0.8)
    with pytest.raises(NotTestable, match="got 3"):
        evidence.rank_correlation([1, 2, 3], [1, 2, 3])
    with pytest.raises(NotTestable, match="values that differ"):
        evidence.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4])


def test_difference_is_the_total_variation_distance() -> None:
    assert evidence.difference(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1
    assert evidence.difference(np.array([0.5, 0.5]), np.array([0.25, 0.75])) == 0.25


def test_spread_is_the_coefficient_of_variation() -> None:
    assert evidence.spread(pd.Series([1.0, 3.0])) == 0.5
    with pytest.raises(NotTestable, match="two datasets"):
        evidence.spread(pd.Series([1.0]))


def test_layers_have_both_signs_side_by_side(world: Evidence, imagenet: Frames) -> None:
    row = world.layers.set_index(["dataset", "layer"]).loc[("wood", "fc6")]
    rows = imagenet["figure5"].query("dataset == 'wood' and layer == 'fc6'").set_index("sign")
    assert (row["mode_plus"], row["q84_minus"]) == (rows["mode"]["+"], rows["q84"]["-"])
    assert row["gap"] == rows["mode"].sum()
    assert (row["name"], row["group"]) == ("wood", "c")
    assert len(world.layers) == 11 * 15


def test_low_layers_are_those_of_the_paper(world: Evidence) -> None:
    """conv1_1 to conv3_3 (section 6.1); the others are its middle and upper layers."""
    assert world.depths == list(range(13))
    low = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"]
    assert list(world.convolutional("low")["layer"].unique()) == low
    upper = ["conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3"]
    assert list(world.convolutional("upper")["layer"].unique()) == upper


def test_layers_of_two_datasets_are_compared_one_by_one(world: Evidence, imagenet: Frames) -> None:
    rows = imagenet["layer_distribution"]
    shares = rows.pivot(index="bin", columns=["depth", "dataset"], values="n") / worlds.N
    wood = [abs(shares[d]["wood"] - shares[d]["mit67"]).sum() / 2 for d in (0, 14)]
    apart = world.apart([0, 14]).set_index(["one", "other"])["apart"]
    assert apart["mit67", "wood"] == pytest.approx(np.mean(wood))
    assert len(apart) == 11 * 10 / 2


def test_tails_are_of_all_distances_of_some_layers(world: Evidence, imagenet: Frames) -> None:
    rows = imagenet["layer_distribution"].query("dataset == 'wood' and depth in (0, 14)")
    far = rows["n"][(rows["lo"] >= 0.5 - 1e-9) | (rows["hi"] <= -0.5 + 1e-9)].sum()
    tails = world.tails([0, 14]).set_index("name")["tail"]
    assert tails["wood"] == pytest.approx(100 * far / rows["n"].sum())


def test_shapes_add_up(world: Evidence, imagenet: Frames) -> None:
    shape = world.shape("fc").set_index("dataset")
    np.testing.assert_allclose(shape["plus"] + shape["minus"], 100)
    rows = imagenet["figure6"].query("dataset == 'wood' and kind == 'fc'")
    mean = (abs(rows["lo"] + rows["hi"]) / 2 * rows["percent"]).sum() / 100
    assert shape.loc["wood", "size"] == pytest.approx(mean)
    assert world.curve("wood", "fc").sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("groups", "found"),
    [(("a",), {"x"}), (("a", "b"), {"x", "y"})],
)
def test_rows_of_groups(groups: tuple[str, ...], found: set[str]) -> None:
    frame = pd.DataFrame({"dataset": ["x", "y", "z"], "group": ["a", "b", None]})
    assert set(evidence.in_groups(frame, *groups)["dataset"]) == found
    assert set(evidence.in_any_group(frame, *groups, "c")["dataset"]) == found
    with pytest.raises(NotTestable, match=r"no dataset of group c \(disjoint\)"):
        evidence.in_groups(frame, *groups, "c")
    with pytest.raises(NotTestable, match="there is no dataset of group c or d"):
        evidence.in_any_group(frame, "c", "d")


def test_rows_of_named_datasets_and_of_all_others() -> None:
    frame = pd.DataFrame({"name": ["wood", None, "mit67"], "dataset": ["Wood", "mine", "MIT-67"]})
    assert evidence.named(frame, "wood")["dataset"].tolist() == ["Wood"]
    assert evidence.others(frame, "wood")["dataset"].tolist() == ["mine", "MIT-67"]
    with pytest.raises(NotTestable, match="dataset food101, cub200 is missing"):
        evidence.named(frame, "wood", "food101", "cub200")
    with pytest.raises(NotTestable, match="no other dataset"):
        evidence.others(frame[:1], "wood")


def test_kinds_of_layers_that_are_missing_are_named() -> None:
    frame = pd.DataFrame({"kind": ["other"]})
    with pytest.raises(NotTestable, match="no convolutional layer was embedded"):
        Evidence.of_kind(frame, "conv")
