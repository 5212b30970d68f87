"""The report of an output by Spark: numbers of tables, chosen features, other distances."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.errors import DatasetError
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.query import views as spark_views
from kdsspark.query.view_queries import reads
from kdsspark.report import site as site_of_report
from kdsspark.report.data import ReportData
from kdsspark.report.queries import DISAGREEMENTS, QUERIES
from kdsspark.stages.report import stage as reporting
from kdsspark.stats.distances import DISTANCES
from tests.report.html import Page, words
from tests.studies import run_here, write_embeddings

pytestmark = pytest.mark.cluster  # half a minute, most of it Spark's queries

SIZES = {"few": 20, "some": 150, "<most>": 230}
LABELS = [name for name, size in SIZES.items() for _ in range(size)]
FEW = slice(0, SIZES["few"])
OTHERS = slice(SIZES["few"], None)
ARTIFICE = {"comb": 0, "outlier": 1, "both ends": 2}  # units of layer x that were made up
DRAWN = [("one", "x", ARTIFICE["both ends"], "few")]


def made_up() -> NDArray[np.float32]:
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
def drawn(
    tmp_path_factory: pytest.TempPathFactory,
    spark: SparkSession,  # noqa: ARG001
) -> tuple[Study, ReportData]:
    """The study, and what its report shows.

    Two datasets of one network; in the second, no class is unlike the others.
    """
    folder = tmp_path_factory.mktemp("drawn")
    noise = np.random.default_rng(1).normal(size=(400, 36)).astype(np.float32)
    layers = {"x": noise[:40, :30], "y": noise[:40, 30:]}
    write_embeddings(folder / "one.parquet", {"x": made_up(), "y": noise[:, 30:]}, LABELS)
    write_embeddings(folder / "two.parquet", layers, ["a", "b"] * 20)
    datasets = [
        {"name": name, "embeddings": str(folder / f"{name}.parquet")} for name in ("one", "two")
    ]
    measure = {"distances": list(DISTANCES), "shuffles": 2}
    raw = {"output": str(folder / "out"), "datasets": datasets, "measure": measure}
    done = run_here(config.parse(raw))
    study, shown = Study(done.config, drawn=DRAWN), []
    render = site_of_report.render
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site_of_report, "render", lambda *a: (shown.append(a[0]), render(*a))[1])
        study.do("report")
    return study, shown[0]


@pytest.fixture(scope="module")
def study(drawn: tuple[Study, ReportData]) -> Study:
    return drawn[0]


@pytest.fixture(scope="module")
def site(study: Study) -> Path:
    """The report of the study."""
    return Path(study.output.path("report"))


# -- the numbers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def views(study: Study, spark: SparkSession) -> SparkSession:
    """The views that users have."""
    read = reads(*QUERIES.values(), DISAGREEMENTS)
    return spark_views.opened(spark, study.output, read)


@pytest.mark.parametrize("name", [*QUERIES, "disagreements"])
def test_spark_and_duckdb_agree_to_the_last_bit(
    drawn: tuple[Study, ReportData], views: SparkSession, name: str
) -> None:
    """DuckDB answers the report, and Spark whoever asks the same."""
    data, sql = drawn[1], (QUERIES | {"disagreements": DISAGREEMENTS})[name]
    if name == "disagreements":
        assert data.disagreements is not None
        got = data.disagreements.extremes
    else:
        got = data.frames[name]
    want = spark_views.query(views, sql)
    if "ORDER BY" not in sql.splitlines()[-1]:
        columns = list(want.columns)
        got, want = (f.sort_values(columns, ignore_index=True) for f in (got, want))
    assert len(want) or name in ("failures", "failure_counts", "probed")
    exact = name != "information"  # correlations are sums, in no certain order
    pd.testing.assert_frame_equal(got, want, check_dtype=False, check_exact=exact)


def test_the_pages_have_the_numbers_of_the_tables(study: Study, site: Path) -> None:
    listed = pd.read_csv(site / "data/given/classes-one.csv", float_precision="round_trip")
    ks = pd.read_parquet(study.output.path("ks"))
    ks = ks[(ks["dataset"] == "one") & (ks["labels"] == "true")]
    assert len(listed) == 3
    for _, row in listed.iterrows():
        own = ks[ks["class_id"] == row["class_id"]]
        best = own.sort_values(["ks", "layer", "unit"], ascending=[False, True, True]).iloc[0]
        assert str(row["plus"]).startswith(f"{best['layer']}:{best['unit']}\u00a0{best['ks']:.2f}")
        assert row["highest"] == best["ks"]
        assert row["images"] == own["n_inner"].max()


def test_chosen_features_are_on_the_page(site: Path) -> None:
    (path,) = (site / "figures/given").glob("figure1-*.csv")
    page = Page((site / "paper/given.html").read_text())
    dataset, layer, unit, name = DRAWN[0]
    assert f"{dataset}: {name}, unit {unit} of {layer} (figure 1 of the paper)" in words(page)
    bins = pd.read_csv(path)
    gaps = bins["cumulative_outer"] - bins["cumulative_inner"]
    ks = gaps[abs(gaps).round(9).idxmax()]
    assert f"signed distance: {ks:.3f}".replace("-", "\u2212") in words(page)
    assert path.with_suffix(".png").exists()


def test_a_dataset_that_is_not_summarized_is_named(study: Study) -> None:
    pairs = [*study.context.pairs, Pair("given", "three")]
    with pytest.raises(DatasetError, match="dataset three: is not summarized for network given"):
        reporting._refuse_unsummarized(study.output, pairs)


def test_the_closing_table_counts_images(study: Study) -> None:
    header, *rows = reporting.closing(study.context).splitlines()
    assert header.split() == ["network", "dataset", "images", "failed", "t+", "t-"]
    assert [row.split()[:4] for row in rows[:2]] == [
        ["given", "one", "400", "0"],
        ["given", "two", "40", "0"],
    ]
    assert rows[-1] == f"report: {study.output.path('report/index.html')}"


# -- other distances -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extremes(site: Path) -> pd.DataFrame:
    return pd.read_csv(site / "data/given/disagreements.csv", float_precision="round_trip")


def ranked(values: pd.Series) -> pd.Series:
    """The share of the other values that each is above."""
    return (values.rank(method="min") - 1) / (len(values) - 1)


def gaps(study: Study) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """(dataset, distance) -> every pair with its gap, from the tables by pandas."""
    read = {name: pd.read_parquet(study.output.path(name)) for name in ("ks", "distances")}
    keys = ["network", "dataset", "layer", "unit", "class_id"]
    ks = read["ks"][read["ks"]["labels"] == "true"][[*keys, "ks"]]
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
    page = Page((site / "paper/given.html").read_text())
    assert "Where other distances disagree with ks" in words(page)
    stems = [src.removesuffix(".svg") for src in page.all("src") if "disagreement" in src]
    assert stems == [f"../figures/given/disagreement-{name}" for name in DISTANCES]
    for stem in stems:
        for suffix in ("svg", "png", "csv"):
            assert (site / "paper" / f"{stem}.{suffix}").exists()
            assert suffix == "svg" or f"{stem}.{suffix}" in page.all("href")
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    key = ["one", "auc", "x", str(ARTIFICE["both ends"]), "few"]
    (row,) = [cells for cells in page.cells if cells[:5] == key]
    lowest = extremes[(extremes["dataset"] == "one") & (extremes["distance"] == "auc")].iloc[-1]
    assert row[5:7] == [f"{lowest['value']:.3f}", f"{lowest['ks']:+.3f}".replace("-", "\u2212")]
    assert row[7:] == [f"{100 * lowest[name]:.1f} %" for name in ("rank", "rank_ks")]
