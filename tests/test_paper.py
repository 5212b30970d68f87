"""The published numbers, ours beside them, the logarithmic fit, and ``conf/paper.yaml``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from kdsspark import config, paper

CONF = Path(__file__).parents[1] / "conf" / "paper.yaml"
NETWORKS = ("vgg16-imagenet", "vgg19-imagenet", "vgg16-places")


def test_table_1_adds_up() -> None:
    """The paper: 4,224 convolutional and 8,192 fully connected features, 12,416 in all."""
    sizes = paper.LAYERS.set_index("layer")["features"]
    assert sizes.sum() == paper.FEATURES == 12_416
    assert sizes[sizes.index.str.startswith("conv")].sum() == 4_224
    assert len(sizes) == 15


def test_table_2_adds_up() -> None:
    """Its text counts 2,038 classes; its images per class are rounded means."""
    rows = paper.DATASETS
    assert rows["n_images"].sum() == 175_687
    assert rows["n_classes"].sum() == 2_038
    assert (abs(rows["n_images"] / rows["n_classes"] - rows["images_per_class"]) < 1).all()
    assert rows["images_per_class"].between(rows["least"], rows["most"]).all()
    assert rows["group"].value_counts().to_dict() == {"a": 5, "b": 3, "c": 3}
    assert set(paper.GROUPS) == set(rows["group"])


def test_lists_of_datasets_agree_with_the_groups() -> None:
    groups = paper.DATASETS.set_index("dataset")["group"]
    assert {groups[name] for name in (*paper.BROAD_SUBSETS, *paper.NARROW_SUBSETS)} == {"a"}
    assert set(paper.BROAD_SUBSETS) | set(paper.NARROW_SUBSETS) == set(groups[groups == "a"].index)
    assert set(paper.NARROW_SUBSETS) == {n for n in paper.FINE_GRAINED if groups[n] == "a"}
    assert not set(paper.BROAD) & set(paper.FINE_GRAINED)
    assert {*paper.TEXTURED, *paper.TAILED, *paper.WITHOUT_SPIKE} <= set(groups.index)


def test_table_3_agrees_with_the_text() -> None:
    """About 3,300 features remain above t+ and 4,000 below t-, more than half."""
    rows = paper.THRESHOLDS
    means = rows[["davg_plus", "davg_minus"]].mean()
    assert means.round().tolist() == [3_266, 4_073]
    assert means.tolist() == pytest.approx(paper.REMAINING, rel=0.02)
    assert sum(paper.REMAINING) > paper.FEATURES / 2
    assert paper.T_PLUS == (0.072, 0.185)
    assert (rows["t_plus"] > -rows["t_minus"]).all()
    assert (rows["davg_minus"] > rows["davg_plus"]).sum() == 10


def test_published_fits_against_numpy() -> None:
    """The stated 0.82 and 0.84 are those of table 3 without imagenet."""
    rows = paper.THRESHOLDS.merge(paper.DATASETS, on="dataset")
    for without, published in ((None, (0.77, 0.73)), ("imagenet", paper.R2)):
        left = rows[rows["dataset"] != without]
        x = np.log(left["n_images"] / left["n_classes"])
        fits = paper.published_fits(without)
        for fit, column, stated in zip(fits, ("t_plus", "t_minus"), published, strict=True):
            slope, intercept = np.polyfit(x, left[column], 1)
            rest = left[column] - (intercept + slope * x)
            assert fit.r2 == pytest.approx(1 - rest.var() / left[column].var())
            assert fit.slope == pytest.approx(slope)
            assert fit.intercept == pytest.approx(intercept)
            assert fit.r2 == pytest.approx(stated, abs=0.006)
            assert fit.n == len(left)


def test_a_fit_needs_three_datasets_of_different_sizes() -> None:
    assert paper.log_fit([10, 20], [0.3, 0.2]) is None
    assert paper.log_fit([10, 10, 10], [0.3, 0.2, 0.1]) is None
    assert paper.log_fit([10, 20, 40], [0.3, np.nan, 0.1]) is None
    assert paper.log_fit([10, 20, 40], [0.2, 0.2, 0.2]) is None
    exact = paper.log_fit([10, 20, 40, 80], [0.4, 0.3, 0.2, np.nan])
    assert exact is not None
    assert exact.r2 == pytest.approx(1)
    assert exact.n == 3
    assert exact.slope == pytest.approx(-0.1 / np.log(2))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Caltech-101", "caltech101"),
        ("MIT_67", "mit67"),
        ("stanford.dogs", "stanforddogs"),
        ("food101", "food101"),
        ("caltech", None),
        ("my-food101", None),
    ],
)
def test_names_of_datasets(name: str, known: str | None) -> None:
    assert paper.canonical(name) == known


def test_ours_stand_beside_the_papers() -> None:
    ours = pd.DataFrame({"dataset": ["zoo", "Wood", "MIT-67"], "t_plus": [0.5, 0.2, None]})
    rows = paper.beside(ours, paper.THRESHOLDS, ["t_plus"])
    assert rows["dataset"].tolist() == ["Wood", "MIT-67"]  # in the paper's order
    assert rows["t_plus_paper"].tolist() == [0.176, 0.123]
    assert rows["t_plus_difference"][0] == pytest.approx(0.024)
    assert rows[["t_plus_ours", "t_plus_difference"]].iloc[1].isna().all()
    assert paper.beside(ours[:1], paper.THRESHOLDS, ["t_plus"]).empty


def test_layers_stand_beside_the_papers() -> None:
    names = ["conv1_1", "conv1_2", "conv3_4", "fc6"]
    ours = pd.DataFrame({"layer": names, "features": [64, 60, 256, 4096]})
    ours = ours.assign(parameters=[1_792, 36_928, 9, None], neurons=[1, 2, 3, None])
    rows = paper.layers_beside(ours).set_index("layer")
    assert list(rows.index[:4]) == names
    assert len(rows) == 16
    beside = {"features": (60, 64), "parameters": (36_928, 36_000), "neurons": (2, 3_200_000)}
    for column, (own, published) in beside.items():
        assert rows.loc["conv1_2", [f"{column}_ours", f"{column}_paper"]].tolist() == [
            own,
            published,
        ]
    assert np.isnan(rows.loc["fc6", "neurons_ours"])
    assert np.isnan(rows.loc["conv3_4", "features_paper"])
    assert np.isnan(rows.loc["fc7", "features_ours"])
    assert paper.layers_beside(ours.assign(layer=["a", "b", "c", "d"])).empty


def test_residuals_leave_the_dataset_itself_out() -> None:
    sizes, t = [20, 40, 80, 160, 40], [0.4, 0.3, 0.2, 0.1, 0.25]
    found = paper.residuals(sizes, t)
    for i in range(5):
        others = np.arange(5) != i
        fit = np.polyfit(np.log(sizes)[others], np.array(t)[others], 1)
        assert found[i] == pytest.approx(t[i] - np.polyval(fit, np.log(sizes[i])))
    assert found[4] == pytest.approx(-0.05)  # the others lie on one curve
    assert np.isnan(paper.residuals(sizes[:3], t[:3])).all()


def test_imagenet_is_farthest_off_the_published_curve() -> None:
    rows = paper.published_thresholds()
    for column in ("t_plus", "t_minus"):
        off = np.abs(paper.residuals(rows["size"], rows[column]))
        assert rows["dataset"][int(off.argmax())] == "imagenet"


def test_noise_scale_against_table_3() -> None:
    """t+ lies at 0.9 to 1.6 times the scale, for all eleven datasets, as the page says."""
    rows = paper.THRESHOLDS.merge(paper.DATASETS, on="dataset")
    ratios = rows["t_plus"] / rows["images_per_class"].map(paper.noise_scale)
    assert 0.9 < ratios.min() < ratios.max() < 1.6
    assert math.exp(-2 * 50 * paper.noise_scale(50) ** 2) == pytest.approx(1 / 11)


# -- conf/paper.yaml -------------------------------------------------------------------------------


def test_the_configuration_has_the_papers_datasets_and_groups() -> None:
    loaded = config.load(str(CONF))
    published = paper.DATASETS.set_index("dataset")["group"].to_dict()
    assert {dataset.name: dataset.group for dataset in loaded.datasets} == published
    assert all(dataset.layout == dataset.name for dataset in loaded.datasets)
    assert [d.name for d in loaded.datasets if d.split] == ["food101"]
    assert len(loaded.pairs()) == 33


@pytest.mark.parametrize("name", [*paper.DATASETS["dataset"], *NETWORKS])
def test_every_dataset_and_network_is_one_line_of_the_configuration(name: str) -> None:
    lines = CONF.read_text().splitlines()
    left = [line for line in lines if f"{{name: {name}," not in line]
    assert len(left) == len(lines) - 1
    parsed = config.parse(yaml.safe_load("\n".join(left)))
    assert name not in {item.name for item in (*parsed.networks, *parsed.datasets)}


def test_the_numbers_to_expect_are_the_published_ones() -> None:
    text = " ".join(line.removeprefix("#").strip() for line in CONF.read_text().splitlines())
    means = paper.THRESHOLDS[["davg_plus", "davg_minus"]].mean()
    limits = paper.THRESHOLDS.set_index("dataset")
    for expected in (
        f"{paper.FEATURES:,} features by VGG16",
        f"{paper.DATASETS['n_images'].sum():,} images in {paper.DATASETS['n_classes'].sum():,} cl",
        f"t+ from {limits['t_plus'].min()} (food101) to {limits['t_plus'].max()} (cub200)",
        f"t- from {limits['t_minus'].max()} to {limits['t_minus'].min()}",
        f"davg {means['davg_plus']:,.0f} at t+ and {means['davg_minus']:,.0f} at t-",
        f"R2 of {paper.R2[0]} (t+) and {paper.R2[1]} (t-)",
    ):
        assert expected in text
