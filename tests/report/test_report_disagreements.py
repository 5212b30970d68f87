"""Where other distances disagree with ks: from tables in an output to figures of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.pipeline.study import Study
from kdsspark.report.data import Disagreements, ReportData
from kdsspark.report.disagreements import widest
from kdsspark.report.figures import disagreement
from kdsspark.report.site import render
from kdsspark.stats.distances import DISTANCES
from tests.report.html import Page, words
from tests.report.synthetic import SCRIPT
from tests.studies import run, write_embeddings

SIZES = {"few": 20, "some": 150, "<most>": 230}
LABELS = [name for name, size in SIZES.items() for _ in range(size)]
FEW = slice(0, SIZES["few"])
OTHERS = slice(SIZES["few"], None)
ARTIFICE = {"comb": 0, "outlier": 1, "both ends": 2}  # units of layer x that were made up


def made_up() -> np.ndarray:
    """[images, units]: classes that are shifted at random, but for three units."""
    rng = np.random.default_rng(0)
    shifts = rng.normal(0, 0.7, (len(SIZES), 30)).repeat(list(SIZES.values()), axis=0)
    values = rng.normal(size=shifts.shape) + shifts
    # In every fifth of 100 bins, where no other image is: among the others, and in bins of its own.
    values[FEW, 0] = np.arange(20) * 5 + 2.5
    values[OTHERS, 0] = rng.integers(0, 20, 380) * 5 + rng.choice([0.5, 1.5, 3.5, 4.5], 380)
    # Above all others, but for one of them that is far above.
    values[FEW, 1], values[OTHERS, 1] = rng.uniform(0.8, 1, 20), rng.uniform(0, 0.4, 380)
    values[-1, 1] = 40
    # As often above all others as below.
    values[FEW, 2], values[OTHERS, 2] = np.tile([-1, 1], 10), rng.uniform(-0.9, 0.9, 380)
    return values.astype(np.float32)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Study:  # noqa: ARG001
    """Two datasets of one network; in the second, no class is unlike the others."""
    folder = tmp_path_factory.mktemp("disagreements")
    noise = np.random.default_rng(1).normal(size=(400, 36)).astype(np.float32)
    layers = {"x": noise[:40, :30], "y": noise[:40, 30:]}
    write_embeddings(folder / "one.parquet", {"x": made_up(), "y": noise[:, 30:]}, LABELS)
    write_embeddings(folder / "two.parquet", layers, ["a", "b"] * 20)
    datasets = [
        {"name": name, "embeddings": str(folder / f"{name}.parquet")} for name in ("one", "two")
    ]
    measure = {"distances": list(DISTANCES)}
    raw = {"output": str(folder / "out"), "datasets": datasets, "measure": measure}
    done = run(config.parse(raw))
    done.do("report")
    return done


@pytest.fixture(scope="module")
def site(study: Study) -> Path:
    return Path(study.output.path("report"))


@pytest.fixture(scope="module")
def found(site: Path) -> pd.DataFrame:
    return pd.read_csv(site / "data/given/disagreements.csv", float_precision="round_trip")


def ranked(values: pd.Series) -> pd.Series:
    """The share of the other values that each is above."""
    return (values.rank(method="min") - 1) / (len(values) - 1)


def gaps(study: Study) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """(dataset, distance) -> every pair with its gap, from the tables by pandas."""
    read = {name: pd.read_parquet(study.output.path(name)) for name in ("ks", "distances")}
    ks = read["ks"][read["ks"]["labels"] == "true"]
    keys = ["network", "dataset", "layer", "unit", "class_id"]
    pairs = ks.astype({"dataset": str}).merge(read["distances"].astype({"dataset": str}), on=keys)
    assert len(pairs) == 36 * 3 + 36 * 2
    for dataset, rows in pairs.groupby("dataset"):
        for name in DISTANCES:
            apart = (rows[name] - 0.5).abs() if name == "auc" else rows[name]
            held = rows["ks"] if name == "average_precision" else rows["ks"].abs()
            layer = rows["layer"]
            rank = apart.groupby(layer).transform(ranked) - held.groupby(layer).transform(ranked)
            yield (str(dataset), name), rows.assign(gap=rank)


def test_gaps_are_differences_of_ranks_within_a_layer(study: Study, found: pd.DataFrame) -> None:
    assert len(found) == 2 * 7 * 2
    for (dataset, distance), pairs in gaps(study):
        of = found[(found["dataset"] == dataset) & (found["distance"] == distance)]
        above, below = (row for _, row in of.iterrows())
        assert above["gap"] == pytest.approx(pairs["gap"].max(), abs=1e-12)
        assert below["gap"] == pytest.approx(pairs["gap"].min(), abs=1e-12)
        by_key = pairs.set_index(["layer", "unit", "class_id"])
        for row in (above, below):
            pair = by_key.loc[(row["layer"], row["unit"], row["class_id"])]
            assert row["gap"] == pytest.approx(pair["gap"], abs=1e-12)
            assert (row["value"], row["ks"]) == (pair[distance], pair["ks"])
            assert row["rank"] - row["rank_ks"] == pytest.approx(row["gap"])
            if dataset == "one":
                assert row["class_name"] == sorted(SIZES)[row["class_id"]]


@pytest.mark.parametrize(
    ("distance", "end", "unit"),
    [
        ("kullback_leibler", "head", "comb"),
        ("jensen_shannon", "head", "comb"),
        ("bhattacharyya", "head", "comb"),
        ("mutual_information", "head", "comb"),
        ("wasserstein", "tail", "outlier"),
        ("auc", "tail", "both ends"),
    ],
)
def test_known_failings_are_found(found: pd.DataFrame, distance: str, end: str, unit: str) -> None:
    of = found[(found["dataset"] == "one") & (found["distance"] == distance)]
    row = getattr(of, end)(1).iloc[0]
    assert (row["layer"], row["unit"]) == ("x", ARTIFICE[unit])
    if distance != "wasserstein":  # the outlier lessens the distances of all classes
        assert row["class_name"] == "few"
    assert abs(row["gap"]) > 0.6


def test_average_precision_goes_by_the_size_of_the_class(found: pd.DataFrame) -> None:
    of = found[(found["dataset"] == "one") & (found["distance"] == "average_precision")]
    assert of["class_name"].tolist() == ["<most>", "few"]
    assert of["value"].iloc[0] > of["value"].iloc[1]
    assert of["ks"].iloc[0] < 0 < of["ks"].iloc[1]


def test_histograms_of_the_widest_gaps_are_drawn(site: Path, found: pd.DataFrame) -> None:
    bins = pd.read_csv(site / "figures/given/disagreement-auc.csv")
    drawn = bins.drop_duplicates(["dataset", "layer", "unit", "class_id"])
    of = found[found["distance"] == "auc"].sort_values("gap", ascending=False)
    ends = of.iloc[[0, -1]]
    assert drawn["gap"].tolist() == pytest.approx(ends["gap"].tolist())
    last = bins[bins["gap"] == bins["gap"].min()]
    values = made_up()[:, ARTIFICE["both ends"]].astype(float)
    for side, images in (("inner", FEW), ("outer", OTHERS)):
        want, edges = np.histogram(values[images], 100, (values.min(), values.max()))
        assert last[side].tolist() == want.tolist()
        np.testing.assert_allclose(last["lo"], edges[:-1], atol=1e-12)


def test_the_page_shows_them(site: Path, found: pd.DataFrame) -> None:
    page = Page((site / "index.html").read_text())
    assert "Where other distances disagree with ks" in words(page)
    stems = [src.removesuffix(".svg") for src in page.all("src") if "disagreement" in src]
    assert stems == [f"figures/given/disagreement-{name}" for name in DISTANCES]
    for stem in stems:
        for suffix in ("svg", "png", "csv"):
            assert (site / f"{stem}.{suffix}").exists()
            assert suffix == "svg" or f"{stem}.{suffix}" in page.all("href")
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    key = ["one", "auc", "x", str(ARTIFICE["both ends"]), "few"]
    (row,) = [cells for cells in page.cells if cells[:5] == key]
    lowest = found[(found["dataset"] == "one") & (found["distance"] == "auc")].iloc[-1]
    assert row[5:7] == [f"{lowest['value']:.3f}", f"{lowest['ks']:+.3f}".replace("-", "\u2212")]
    assert row[7:] == [f"{100 * lowest[name]:.1f} %" for name in ("rank", "rank_ks")]


def test_without_histograms_there_is_the_table_alone(report: ReportData) -> None:
    key = {"network": "vgg16", "dataset": "birds", "layer": "fc6", "unit": 7, "class_id": 0}
    row = {**key, "class_name": SCRIPT, "distance": "bhattacharyya", "value": np.inf, "ks": -0.1}
    pairs = pd.DataFrame([{**row, "gap": 0.5, "rank": 0.75, "rank_ks": 0.25}])
    files = render(replace(report, disagreements=Disagreements(pairs, pairs.iloc[:0])))
    page = Page(files["index.html"].decode())
    cells = ["birds", "bhattacharyya", "fc6", "7", SCRIPT, "inf", "\u22120.100", "75.0 %", "25.0 %"]
    assert cells in page.cells
    assert "layers/vgg16/fc6.html" in page.all("href")
    assert not any("disagreement-" in src for src in page.all("src"))
    assert words(page).count("Where other distances disagree") == 1  # and not for no-fc


def test_of_one_pair_there_is_one_row() -> None:
    rows = {"network": ["n"], "distance": ["auc"], "gap": [0.0], "dataset": ["d"], "unit": [3]}
    assert widest(pd.DataFrame(rows))["unit"].tolist() == [3]


def test_a_pair_is_drawn_as_it_is() -> None:
    bins = {"lo": [0.0, 1, 2], "hi": [1.0, 2, 3], "inner": [0, 1, 3], "outer": [4, 3, 1]}
    key = {"dataset": "d", "layer": "fc6", "unit": 7, "class_id": 0, "class_name": "$x_{"}
    ranks = {"distance": "jensen_shannon", "value": 0.662, "ks": 0.625, "gap": 0.5}
    frame = pd.DataFrame(bins).assign(**key, **ranks, rank=0.75, rank_ks=0.25)
    figure = disagreement(frame)
    assert isinstance(figure, Figure)
    left, right = figure.axes
    assert left.get_title(loc="left") == "jensen shannon 0.662: above 75.0 % of the pairs"
    assert right.get_title(loc="left") == "ks 0.625: above 25.0 %"
    assert (left.get_xlabel(), right.get_xlabel()) == ("fc6, unit 7", "$x_{ of d")
    assert right.texts[0].get_text() == "ks = 0.625"
