"""What several test modules share: one Spark session, and where real data may lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.sql import SparkSession

from kdsspark.config import Spark
from kdsspark.engine import session, work
from tests.inprocess import InProcess, Task

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Local Spark with two cores, and four tries for a task as a cluster has."""
    warehouse = tmp_path_factory.mktemp("warehouse").as_uri()
    conf = {
        "spark.ui.enabled": False,
        "spark.sql.shuffle.partitions": 4,
        "spark.sql.warehouse.dir": warehouse,
    }
    started = session.start(Spark(master="local[2,4]", conf=conf))
    yield started
    started.stop()


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[Task]:
    """What code of executors finds when it is called here, without Spark."""
    running, cpus = Task(), pa.cpu_count()
    monkeypatch.setattr(TaskContext, "get", lambda: running)
    monkeypatch.setattr(work, "_freeze", lambda _: None)
    yield running
    pa.set_cpu_count(cpus)
    work._grant(None)


@pytest.fixture
def in_process(task: Task) -> InProcess:  # noqa: ARG001 (tasks find it)
    """A session whose tasks run in this process."""
    return InProcess()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real weights and photographs; the test is skipped where they are not."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs real weights and photographs in ../shared/data")
    return REAL_DATA
