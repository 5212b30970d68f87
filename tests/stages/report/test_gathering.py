"""What the report shows, gathered from the tables of a small study."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.pipeline.study import Study
from kdsspark.report.data import ReportData
from kdsspark.report.queries import QUERIES
from kdsspark.stages.report import gathering
from kdsspark.tables import HISTOGRAMS
from kdsspark.terminal import Progress

pytestmark = pytest.mark.usefixtures("without_spark")


@pytest.fixture(scope="module")
def fruit_alone(fruit: Study) -> Study:
    """The configuration has one of the two datasets that the output holds, with a rank."""
    dataset = fruit.config.datasets[0].model_copy(update={"rank": 7})
    return Study(fruit.config.model_copy(update={"datasets": (dataset,)}))


@pytest.fixture(scope="module")
def shown(fruit_alone: Study, without_spark: None) -> ReportData:  # noqa: ARG001
    with gathering.gathered(
        fruit_alone.context, (), QUERIES, Progress("report", 0, "steps")
    ) as shown:
        data, figures = shown
        assert "figures/tiny/figure9-fruit" in figures
    return data


def test_every_query_is_answered_for_configured_datasets(shown: ReportData) -> None:
    assert shown.frames.keys() == {*QUERIES, "rest", "sizes"}
    assert len(shown.frames["units"]) > 0
    for frame in shown.frames.values():
        if "dataset" in frame:
            assert set(frame["dataset"]) <= {"fruit"}
    assert [gallery.dataset for gallery in shown.galleries] == ["fruit"]
    assert any("wood" in sentence for sentence in shown.beyond)


def test_medians_are_those_of_the_histograms(fruit_alone: Study, shown: ReportData) -> None:
    table = parquet.read(fruit_alone.output, HISTOGRAMS, "tiny", "fruit").to_pandas()
    assert len(shown.frames["rest"])
    for row in shown.frames["rest"].itertuples():
        unit = table[(table["layer"] == row.layer) & (table["unit"] == row.unit)]
        counts = {
            c: np.asarray(own) for c, own in zip(unit["class_id"], unit["counts"], strict=True)
        }
        outer = sum(own for c, own in counts.items() if c != row.class_id)
        for got, own in ((row.own, counts[row.class_id]), (row.rest, outer)):
            values = np.repeat(np.arange(20), own)
            below = np.sort(values)[(len(values) - 1) // 2]  # the lower of two in the middle
            assert got == pytest.approx((below + 0.5) / 20)


def test_an_unknown_feature_is_refused(fruit_alone: Study) -> None:
    context = replace(fruit_alone.context, drawn=[("fruit", "fire4", 9999, "pear")])
    with (
        pytest.raises(ConfigError, match="unit of fire4 must be from 0 to"),
        gathering.gathered(context, (), QUERIES, Progress("report", 0, "steps")),
    ):
        pass


def test_texts_of_failures_have_no_secrets() -> None:
    rows = pd.DataFrame({"uri": ["s3://key:secret@b/a.png"], "message": ["no s3://k:secret@b/x"]})
    assert "secret" not in str(gathering._redacted(rows).to_numpy().tolist())


def test_experiments_have_the_ranks_of_their_datasets(fruit_alone: Study) -> None:
    rows = pd.DataFrame({"dataset": ["fruit", "wood"]})
    ranks = gathering._ranked(rows, fruit_alone.config)["rank"]
    assert ranks.iloc[0] == 7
    assert np.isnan(ranks.iloc[1])
