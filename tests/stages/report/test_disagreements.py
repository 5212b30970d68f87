"""Where other distances disagree with ks: from the tables of an output to the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kdsspark.pipeline.study import Study
from kdsspark.stages.report.disagreements import widest
from kdsspark.stats.distances import DISTANCES
from tests.report.html import Page, words
from tests.stages.report.conftest import ARTIFICE, FEW, OTHERS, SIZES, made_up


@pytest.fixture(scope="module")
def extremes(site: Path) -> pd.DataFrame:
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


def test_gaps_are_differences_of_ranks_within_a_layer(study: Study, extremes: pd.DataFrame) -> None:
    assert len(extremes) == 2 * 7 * 2
    for (dataset, distance), pairs in gaps(study):
        of = extremes[(extremes["dataset"] == dataset) & (extremes["distance"] == distance)]
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
def test_known_failings_show(extremes: pd.DataFrame, distance: str, end: str, unit: str) -> None:
    of = extremes[(extremes["dataset"] == "one") & (extremes["distance"] == distance)]
    row = getattr(of, end)(1).iloc[0]
    assert (row["layer"], row["unit"]) == ("x", ARTIFICE[unit])
    if distance != "wasserstein":  # the outlier lessens the distances of all classes
        assert row["class_name"] == "few"
    assert abs(row["gap"]) > 0.6


def test_average_precision_goes_by_the_size_of_the_class(extremes: pd.DataFrame) -> None:
    of = extremes[(extremes["dataset"] == "one") & (extremes["distance"] == "average_precision")]
    assert of["class_name"].tolist() == ["<most>", "few"]
    assert of["value"].iloc[0] > of["value"].iloc[1]
    assert of["ks"].iloc[0] < 0 < of["ks"].iloc[1]


def test_histograms_of_the_widest_gaps_are_drawn(site: Path, extremes: pd.DataFrame) -> None:
    bins = pd.read_csv(site / "figures/given/disagreement-auc.csv")
    drawn = bins.drop_duplicates(["dataset", "layer", "unit", "class_id"])
    of = extremes[extremes["distance"] == "auc"].sort_values("gap", ascending=False)
    ends = of.iloc[[0, -1]]
    assert drawn["gap"].tolist() == pytest.approx(ends["gap"].tolist())
    last = bins[bins["gap"] == bins["gap"].min()]
    values = made_up()[:, ARTIFICE["both ends"]].astype(float)
    for side, images in (("inner", FEW), ("outer", OTHERS)):
        want, edges = np.histogram(values[images], 100, (values.min(), values.max()))
        assert last[side].tolist() == want.tolist()
        np.testing.assert_allclose(last["lo"], edges[:-1], atol=1e-12)


def test_the_page_shows_them(site: Path, extremes: pd.DataFrame) -> None:
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
    lowest = extremes[(extremes["dataset"] == "one") & (extremes["distance"] == "auc")].iloc[-1]
    assert row[5:7] == [f"{lowest['value']:.3f}", f"{lowest['ks']:+.3f}".replace("-", "\u2212")]
    assert row[7:] == [f"{100 * lowest[name]:.1f} %" for name in ("rank", "rank_ks")]


def test_the_ends_of_each_distance_are_drawn_in_the_order_of_distances() -> None:
    rows = [("wasserstein", "d", 0.5), ("auc", "d", 0.1), ("auc", "e", 0.9), ("auc", "f", -0.3)]
    frame = pd.DataFrame(rows, columns=["distance", "dataset", "gap"]).assign(network="n")
    drawn = widest(frame)
    want = [("auc", "e"), ("auc", "f"), ("wasserstein", "d")]
    order = {name: place for place, name in enumerate(DISTANCES)}
    want.sort(key=lambda row: order[row[0]])
    assert list(drawn[["distance", "dataset"]].itertuples(index=False, name=None)) == want


def test_one_feature_and_class_is_drawn_once() -> None:
    rows = {"network": ["n"], "distance": ["auc"], "gap": [0.0], "dataset": ["d"], "unit": [3]}
    assert widest(pd.DataFrame(rows))["unit"].tolist() == [3]
