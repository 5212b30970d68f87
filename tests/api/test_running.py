"""A study from Python: by the session that is there, with a record, and errors as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

import kdsspark
from kdsspark import config
from kdsspark.engine.starting import session
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.output.lock import Lock
from kdsspark.output.output import Output
from kdsspark.pipeline import records, study
from tests.api.conftest import raw_study


@pytest.mark.cluster
def test_a_run_uses_the_session_that_is_there_and_leaves_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    session.activate(spark)
    before = {row["key"]: row["value"] for row in spark.sql("SET").collect()}
    views = spark.catalog.listTables()
    raw = raw_study(tmp_path)
    output = kdsspark.run(raw | {"datasets": raw["datasets"][:1]})
    assert len(kdsspark.read(output, "thresholds")) == 1
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert session.existing() is spark
    assert spark.range(3).count() == 3
    assert {row["key"]: row["value"] for row in spark.sql("SET").collect()} == before
    assert spark.catalog.listTables() == views
    record = records.latest(Output.at(output))
    assert record is not None
    assert (record.command, record.exit_code, record.error) == ("run", 0, None)
    assert [stage["stage"] for stage in record.stages][-1] == "report"


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The stages of a run, which do nothing unless a test puts others in their place."""
    found: list[Any] = []
    monkeypatch.setattr(study, "stages_of", lambda _: found)
    monkeypatch.setattr(session, "existing", lambda: None)
    return found


class Failing:
    """A stage that raises."""

    name = "index"

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, _: Any) -> None:
        raise self.error


@pytest.mark.usefixtures("stages")
@pytest.mark.parametrize("kind", ["mapping", "path", "text", "parsed"])
def test_every_kind_of_configuration(tmp_path: Path, kind: str) -> None:
    raw, file = raw_study(tmp_path), tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(raw))
    kinds = {"mapping": raw, "path": file, "text": str(file), "parsed": config.parse(raw)}
    assert kdsspark.run(kinds[kind]) == raw["output"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DatasetError("dataset birds: no image"), 1, "dataset birds: no image"),
        (ConfigError("measure.bins: wrong"), 2, "measure.bins: wrong"),
        (KeyboardInterrupt(), 130, "interrupted; run again to go on"),
        (RuntimeError("one\ntwo"), 1, "failed: RuntimeError: one"),
    ],
)
def test_errors_are_raised_and_recorded(
    tmp_path: Path, stages: list[Any], error: BaseException, code: int, line: str
) -> None:
    stages.append(Failing(error))
    raw = raw_study(tmp_path)
    with pytest.raises(type(error)):
        kdsspark.run(raw)
    output = Output.at(raw["output"])
    record = records.latest(output)
    assert record is not None
    assert (record.exit_code, record.error) == (code, line)
    with Lock(output):  # it is free
        pass


def test_a_wrong_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^measure\.bins: must be .*, got 1$"):
        kdsspark.run(raw_study(tmp_path) | {"measure": {"bins": 1}})


def test_a_session_of_spark_connect_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_CONNECT_MODE_ENABLED", "1")
    with pytest.raises(ConfigError, match=r"which Spark Connect does not have$"):
        kdsspark.run(raw_study(tmp_path))
    assert not (tmp_path / "out").exists()
