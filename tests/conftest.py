"""What several test modules share: one Spark session, and where real data may lie."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.config import Spark
from kdsspark.engine import session
from tests import inprocess
from tests.inprocess import InProcess, Task

# No JVM of the tests, nor of the programs they start, runs long enough for Java's second compiler
# to pay: without it, a session and thirty small queries take 25 seconds of CPU instead of 51.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# Two processes share the cores (make test), and so does torch with Spark's tasks.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under nohup SIGHUP is ignored, and the programs that tests interrupt by it would go on.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

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
def task() -> Iterator[Task]:
    """What code of executors finds when it is called here, without Spark."""
    with inprocess.task() as running:
        yield running


@pytest.fixture
def in_process(task: Task) -> InProcess:  # noqa: ARG001 (tasks find it)
    """A session whose tasks run in this process."""
    return InProcess()


@pytest.fixture(scope="module")
def without_spark() -> Iterator[None]:
    """The studies of a module run their tasks in this process."""
    with inprocess.without_spark():
        yield


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """The command takes charge of signals for good, and pytest wants them back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    # A shell that starts pytest in the background has it ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real weights and photographs; the test is skipped where they are not."""
    if not REAL_DATA.is_dir():
        pytest.skip("needs real weights and photographs in ../shared/data")
    return REAL_DATA
