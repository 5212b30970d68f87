"""The stage ``summarize``: what it plans of a pair, and what it never does twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdsspark import config
from kdsspark.config import Config
from kdsspark.engine.stage import Standing
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.pipeline.study import Study
from kdsspark.stages import SUMMARIZE
from kdsspark.stages.summarize import stage as summarize
from kdsspark.tables import DAVG, LAYERS, THRESHOLDS
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("without_spark")
ONE, OTHER = Pair("clip", "one"), Pair("clip", "other")


@pytest.fixture
def given(tmp_path: Path) -> Config:
    """Two datasets by one network, the first with three classes."""
    rng = np.random.default_rng(6)
    for name, classes in (("one", "abc"), ("other", "xy")):
        layers = {"a.b": rng.normal(size=(12, 4)), "fc": rng.normal(size=(12, 3))}
        labels = [classes[i % len(classes)] for i in range(12)]
        write_embeddings(tmp_path / f"{name}.parquet", layers, labels)
    return study_config(tmp_path)


def study_config(folder: Path, **measure: Any) -> Config:
    datasets = [
        {"name": name, "embeddings": str(folder / f"{name}.parquet"), "network": "clip"}
        for name in ("one", "other")
    ]
    measured = {"bins": 5, "shuffles": 2} | measure
    return config.parse({"output": str(folder / "out"), "datasets": datasets, "measure": measured})


def when(study: Study) -> dict[str, int]:
    names = (THRESHOLDS, DAVG, LAYERS)
    paths = [path for table in names for path in study.output.files(table.name)]
    return {path: Path(study.output.path(path)).stat().st_mtime_ns for path in paths}


def test_a_plan_follows_from_the_measurement(given: Config) -> None:
    study = run(given, "index embed measure")
    planned = summarize.plan(study.output, given, ONE)
    assert planned.item.layers == {
        "a.b": ["layer-000-units-00000-00004"],
        "fc": ["layer-001-units-00000-00003"],
    }
    assert planned.item.kinds == {"a.b": "other", "fc": "other"}
    assert (planned.item.n_images, planned.item.classes, planned.item.shuffles) == (12, 3, 2)
    assert planned.standing(study.output) == Standing(missing=1)
    study.do("summarize")
    assert planned.standing(study.output) == Standing(done=1)
    other = study_config(Path(study.output.path()).parent, seed=9)
    run(other, "measure")
    assert summarize.plan(study.output, other, ONE).standing(study.output) == Standing(stale=1)


def test_every_pair_is_summarized_and_none_twice(given: Config) -> None:
    study = run(given)
    rows = parquet.read(study.output, THRESHOLDS).to_pandas()
    assert rows[["dataset", "n_classes"]].to_numpy().tolist() == [["one", 3], ["other", 2]]
    assert rows["network"].unique().tolist() == ["clip"]
    assert [len(parquet.read(study.output, LAYERS, *pair)) for pair in (ONE, OTHER)] == [8, 8]
    before = when(study)
    run(given, "summarize")
    assert len(before) == 2 + 2 + 2 * 2
    assert when(study) == before
    SUMMARIZE.receipts(study.output).remove(OTHER.name)
    after = when(run(given, "summarize"))
    changed = {path for path, time in after.items() if before[path] != time}
    assert changed == {path for path in before if "other" in path}


@pytest.mark.parametrize("changed", [{"seed": 1}, {"keep_shuffled": False}, {"bins": 6}])
def test_what_is_not_measured_with_these_settings_is_refused(
    given: Config, changed: dict[str, Any]
) -> None:
    study = run(given, "index embed")
    message = r"dataset one: is not measured by network clip with these settings, run the measure"
    with pytest.raises(DatasetError, match=message):
        run(given, "summarize")
    run(given, "measure")
    with pytest.raises(DatasetError, match=message):
        run(study_config(Path(study.output.path()).parent, **changed), "summarize")
    run(given, "summarize")
