"""Figure 1 of chosen pairs: from histograms in an output to files of the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.pipeline.study import Study
from kdsspark.query import views
from kdsspark.report.figures import pair
from tests.report.html import Page, words
from tests.studies import run, write_embeddings

NAMES = ['quote " & <script>', "a/b\u9ce5 'c'", "plain"]
LABELS = [NAMES[i] for i in (0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2)]


def two_networks(folder: Path, histograms: bool = True) -> config.Config:
    """One dataset by network ``one`` (layers x, y) and another by ``two`` (layer x)."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 4)).astype(np.float32)
    values[0, 1] = np.nan
    values[:, 3] = np.nan
    write_embeddings(folder / "one.parquet", {"x": values, "y": values[:, :2] + 1}, LABELS)
    write_embeddings(folder / "two.parquet", {"x": values[:, :2]}, ["only"] * 12)
    datasets = [
        {"name": "mine", "embeddings": str(folder / "one.parquet"), "network": "one"},
        {"name": "mono", "embeddings": str(folder / "two.parquet"), "network": "two"},
    ]
    measure = {"bins": 10, "histograms": histograms}
    return config.parse({"output": str(folder / "out"), "datasets": datasets, "measure": measure})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Study:  # noqa: ARG001
    return run(two_networks(tmp_path_factory.mktemp("pairs")))


def report(study: Study, *wanted: tuple[str, str, int, str]) -> Path:
    Study(study.config, drawn=wanted).do("report")
    return Path(study.output.path("report"))


def test_a_pair_is_drawn_from_its_histograms(study: Study) -> None:
    folder = report(study, ("mine", "x", 1, NAMES[1]), ("mono", "x", 0, "only"))
    (path,) = (folder / "figures" / "one").glob("figure1-*.csv")
    got = pd.read_csv(path)
    values = pd.read_parquet(folder.parents[1] / "one.parquet")["x"].map(lambda x: x[1])
    values, inside = values.to_numpy(float), np.array(LABELS) == NAMES[1]
    seen = ~np.isnan(values)
    bounds = (np.nanmin(values), np.nanmax(values))
    inner, edges = np.histogram(values[seen & inside], 10, bounds)
    outer, _ = np.histogram(values[seen & ~inside], 10, bounds)
    assert got["inner"].tolist() == inner.tolist()
    assert got["outer"].tolist() == outer.tolist()
    np.testing.assert_allclose(got["lo"], edges[:-1], rtol=1e-12)
    np.testing.assert_allclose(got["hi"], edges[1:], rtol=1e-12)
    density, _ = np.histogram(values[seen & inside], 10, bounds, density=True)
    np.testing.assert_allclose(got["density_inner"], density)
    np.testing.assert_allclose(got["cumulative_outer"], outer.cumsum() / 7)  # one is NaN
    gaps = outer.cumsum() / 7 - inner.cumsum() / 4
    ks = gaps[np.argmax(abs(gaps).round(9))]
    page = Page((folder / "index.html").read_text())
    assert f"mine: {NAMES[1]}, unit 1 of x (figure 1 of the paper)" in words(page)
    assert f"signed distance: {ks:.3f}".replace("-", "\u2212") in words(page)
    assert path.with_suffix(".png").exists()
    # A dataset of one class has no outer images.
    assert "signed distance: \u2013" in words(page)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (("other", "x", 0, "a"), "dataset must be one of mine, mono, got 'other'"),
        (("mine", "z", 0, "a"), "layer of dataset mine must be one of x, y, got 'z'"),
        (("mono", "y", 0, "only"), "layer of dataset mono must be one of x, got 'y'"),
        (("mine", "y", 2, "plain"), "unit of y must be from 0 to 1, got 2"),
        (("mine", "y", -1, "plain"), "unit of y must be from 0 to 1, got -1"),
        (("mine", "x", 0, "Plain"), "class of dataset mine must be one of .*plain.*got 'Plain'"),
    ],
)
def test_what_is_not_there_is_named(
    study: Study, wanted: tuple[str, str, int, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"--pair: {message}"):
        report(study, wanted)


def test_a_feature_without_finite_values_cannot_be_drawn(study: Study) -> None:
    with pytest.raises(DatasetError, match="no histogram of unit 3 of x for class 'plain'"):
        report(study, ("mine", "x", 3, "plain"))


def test_histograms_are_needed(tmp_path: Path, spark: SparkSession) -> None:
    study = run(two_networks(tmp_path, histograms=False))
    with pytest.raises(DatasetError, match=r"needs measure\.histograms"):
        report(study, ("mine", "x", 0, "plain"))
    views.register(spark, study.output, ["ks"])


def test_a_report_without_pairs_leaves_none_of_the_last(study: Study) -> None:
    """And the queries that SQLite answers elsewhere give the same by Spark."""
    old = study.output.path("report/figures/one/figure1-old.csv")
    Path(old).parent.mkdir(parents=True, exist_ok=True)
    Path(old).write_text("of another report")
    folder = report(study)
    assert not list(folder.glob("figures/*/figure1-*"))
    assert "figure 1 of the paper" not in (folder / "index.html").read_text()
    listed = pd.read_csv(folder / "data/one/classes-mine.csv", float_precision="round_trip")
    ks = study.context.session.read.parquet(study.output.path("ks")).toPandas()
    ks = ks[(ks["dataset"] == "mine") & (ks["labels"] == "true")]
    for _, row in listed.iterrows():
        own = ks[ks["class_id"] == row["class_id"]]
        best = own.sort_values(["ks", "layer", "unit"], ascending=[False, True, True]).iloc[0]
        assert row["class_name"] == sorted(NAMES)[row["class_id"]]
        top = f"{best['layer']}:{best['unit']}\u00a0{best['ks']:.2f}" if best["ks"] > 0 else "nan"
        assert str(row["plus"]).startswith(top)
        assert row["highest"] == best["ks"]
        assert row["images"] == own["n_inner"].max()


def test_pair_curves_of_constants_and_of_one_side() -> None:
    same = pd.DataFrame({"lo": [2.0] * 2, "hi": [2.0] * 2, "inner": [3, 0], "outer": [5, 0]})
    curves = pair.pair_curves(same)
    assert curves["density_inner"].tolist() == [1, 0]
    assert curves["cumulative_outer"].tolist() == [1, 1]
    assert pair.pair_distance(same) == (0, -1)
    alone = same.assign(lo=[0.0, 1.0], hi=[1.0, 2.0], outer=0)
    assert pair.pair_curves(alone)["density_outer"].isna().all()
    ks, at = pair.pair_distance(alone)
    assert np.isnan(ks)
    assert at == -1
    for bins in (same, alone):
        assert pair.figure1(bins, "x").axes


def test_the_gap_is_drawn_where_it_is() -> None:
    bins = pd.DataFrame(
        {"lo": [0, 1, 2.0], "hi": [1, 2, 3.0], "inner": [0, 1, 3], "outer": [4, 3, 1]}
    )
    ks, at = pair.pair_distance(bins)
    assert (ks, at) == (0.625, 1)  # outer 7/8, inner 1/4
    ax = Figure().subplots()
    inner, outer, gap, text = pair.cumulative(ax, pair.pair_curves(bins), ks, at)
    assert inner.get_ydata().tolist() == [0, 0, 0.25, 1]
    assert outer.get_ydata().tolist() == [0, 0.5, 0.875, 1]
    assert gap.get_xydata().tolist() == [[2, 0.25], [2, 0.875]]
    assert text.get_text() == "ks = 0.625"
