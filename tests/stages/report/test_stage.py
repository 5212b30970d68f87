"""The report of an output: the numbers of Spark, and when the report is drawn anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.query import view_queries, views
from kdsspark.report.data import ReportData
from kdsspark.report.queries import FAILURES, QUERIES
from kdsspark.stages.report import stage as reporting
from tests.report.html import Page, words
from tests.report.synthetic import run_on_files
from tests.stages.report.conftest import DRAWN
from tests.studies import run_here, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")

# -- the numbers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened(study: Study) -> SparkSession:
    return views.opened(study.context.session, study.output, view_queries.reads(*QUERIES.values()))


@pytest.fixture(scope="module")
def by_duckdb(study: Study) -> dict[str, pd.DataFrame]:
    """Every query, answered by another program from the same files."""
    return run_on_files(study.output)


@pytest.mark.parametrize("name", QUERIES)
def test_spark_and_duckdb_agree_to_the_last_bit(
    opened: SparkSession, by_duckdb: dict[str, pd.DataFrame], name: str
) -> None:
    got, want = views.query(opened, QUERIES[name]), by_duckdb[name]
    if "ORDER BY" not in QUERIES[name].splitlines()[-1]:
        columns = list(want.columns)
        got, want = (f.sort_values(columns, ignore_index=True) for f in (got, want))
    assert len(want) or name in ("failures", "failure_counts")
    pd.testing.assert_frame_equal(got, want, check_dtype=False, check_exact=True)


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
    page = Page((site / "index.html").read_text())
    dataset, layer, unit, name = DRAWN[0]
    assert f"{dataset}: {name}, unit {unit} of {layer} (figure 1 of the paper)" in words(page)
    bins = pd.read_csv(path)
    gaps = bins["cumulative_outer"] - bins["cumulative_inner"]
    ks = gaps[abs(gaps).round(9).idxmax()]
    assert f"signed distance: {ks:.3f}".replace("-", "\u2212") in words(page)
    assert path.with_suffix(".png").exists()


def test_matplotlib_is_imported_only_to_draw() -> None:
    """It takes a second, and most nights have nothing new."""
    code = "import sys, kdsspark.stages.report.stage; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "jinja2", "scipy.stats"} & set(done.stdout.split())
    assert "kdsspark.report.queries" in done.stdout.split()


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


# -- when it is drawn anew -------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:  # noqa: ARG001 (drawn before)
    """One query and two small files: what a report shows is tested elsewhere."""

    def render(data: ReportData) -> dict[str, bytes]:
        return {"index.html": data.run["configuration"].encode(), "data/given/x.csv": b"x\n"}

    monkeypatch.setattr(reporting, "QUERIES", {"failures": FAILURES})
    monkeypatch.setattr("kdsspark.report.site.render", render)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("reporting")
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    write_embeddings(folder / "mine.parquet", {"x": values}, ["a", "b", "c"] * 4)
    dataset = {"name": "mine", "embeddings": str(folder / "mine.parquet")}
    return {"output": str(folder / "out"), "datasets": [dataset]}


@pytest.fixture
def drawn(raw: dict[str, object], quick: None) -> Study:  # noqa: ARG001
    study = run_here(config.parse(raw))
    study.do("report")
    return study


def is_redrawn(study: Study, act: Callable[[], object] = lambda: None) -> bool:
    """Whether the first page is written when ``act`` has been done."""
    page = Path(study.output.path("report/index.html"))
    before = page.stat().st_mtime_ns if page.exists() else 0
    act()
    study.do("report")
    return page.stat().st_mtime_ns != before


def test_a_report_of_the_same_is_not_drawn_again(drawn: Study, raw: dict[str, object]) -> None:
    assert not is_redrawn(drawn)
    assert not is_redrawn(run_here(config.parse(raw)))


@pytest.mark.parametrize("lost", ["index.html", "data/given/*.csv"])
def test_a_lost_file_is_drawn_again(drawn: Study, lost: str) -> None:
    path = next(Path(drawn.output.path("report")).glob(lost))
    assert is_redrawn(drawn, path.unlink)
    assert path.exists()
    assert not is_redrawn(drawn)


def test_files_of_another_report_are_removed(drawn: Study) -> None:
    old = Path(drawn.output.path("report/figures/given/figure1-old.csv"))
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_text("of another report")
    assert is_redrawn(drawn)
    assert not old.exists()


def test_other_settings_are_shown(drawn: Study, raw: dict[str, object]) -> None:
    other = {**raw, "embed": {"max_failures": 0.125}}
    assert is_redrawn(Study(config.parse(other)))
    assert "0.125" in Path(drawn.output.path("report/index.html")).read_text()


@pytest.mark.usefixtures("drawn")
def test_other_tables_are_shown(raw: dict[str, object]) -> None:
    other = config.parse({**raw, "measure": {"shuffles": 3}})
    assert is_redrawn(Study(other))
    assert is_redrawn(run_here(other, "measure summarize"))


def test_other_features_and_versions_are_shown(
    drawn: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_feature = Study(drawn.config, drawn=[("mine", "x", 0, "a")])
    assert is_redrawn(with_feature)
    assert not is_redrawn(with_feature)
    assert is_redrawn(drawn)
    monkeypatch.setattr(reporting, "versions", lambda: {"kdsspark": "another"})
    assert is_redrawn(drawn)


def test_a_report_that_ended_early_is_drawn_again(drawn: Study) -> None:
    """Though settings are again those of the last whole one."""
    impossible = Study(drawn.config, drawn=[("mine", "x", 7, "a")])
    with pytest.raises(ConfigError):
        impossible.do("report")
    assert is_redrawn(drawn)
