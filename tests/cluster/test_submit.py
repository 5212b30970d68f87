"""``spark-submit`` of the jobs to a cluster whose workers do not see the source."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from kdsspark.output.output import Output
from kdsspark.pipeline.study import Study
from tests.cluster.standalone import Cluster
from tests.cluster.workplace import Workplace, study_config
from tests.pipeline.test_runs import assert_same, tables, when
from tests.studies import run

pytestmark = pytest.mark.cluster
STAGES = (
    "index",
    "embed",
    "measure",
    "summarize",
    "exemplars",
    "transform",
    "probe",
    "report",
)


def test_a_run_on_a_cluster_gives_the_tables_of_a_local_one(
    cluster: Cluster,
    workplace: Workplace,
    images: Path,
    undisturbed: dict[str, pd.DataFrame],
    tmp_path: Path,
) -> None:
    config = study_config(tmp_path / "out", images)
    ended = workplace.submit(cluster, config, "run")
    assert_same(tables(Output.at(config.output)), undisturbed)
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert "report:" in ended.stdout


def test_every_job_can_be_submitted_and_does_nothing_twice(
    cluster: Cluster, workplace: Workplace, images: Path, tmp_path: Path
) -> None:
    here = run(study_config(tmp_path / "here", images), " ".join(STAGES))
    config = study_config(tmp_path / "out", images)
    for job in STAGES:
        workplace.submit(cluster, config, job)
    assert_same(tables(Output.at(config.output)), tables(here.output))
    before = when(Study(config), "_receipts")
    for job in ("run", "transform", "probe"):
        workplace.submit(cluster, config, job)
    after = when(Study(config), "_receipts")
    assert {path: after.get(path) for path in before} == before
