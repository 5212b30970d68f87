"""What several test modules share: one Spark session, and where real data may lie."""

from __future__ import annotations

import atexit
import gc
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from pyspark.sql import SparkSession
from xdist.scheduler import LoadFileScheduling

from kdsspark.config import Spark
from kdsspark.engine.starting import session
from tests import inprocess
from tests.inprocess import InProcess, Task
from tests.studies import short_report as with_a_short_report

# No JVM of the tests, nor of the programs they start, runs long enough for Java's second compiler
# to pay: without it, a session and thirty small queries take 25 seconds of CPU instead of 51.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# Imports make half a million objects and no garbage; looking for garbage among them takes a third
# of the time of collection.
gc.disable()

# Two processes share the cores (make test), and so does torch with Spark's tasks. Torch
# reads this when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Each process of a whole run imports torchvision, and does as kdsspark does: in half of the time.
if "PYTEST_XDIST_WORKER" in os.environ:
    import kdsspark.network.sources.vision  # noqa: F401

# Examples take as long as the machine is busy.
settings.register_profile("kdsspark", deadline=None)
settings.load_profile("kdsspark")

# Under nohup SIGHUP is ignored, and the programs that tests interrupt by it would go on.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"

# Fixtures of a whole session that take seconds. Files with a user of the same one run in the same
# process, so that it is made once.
MADE_ONCE = ("spark", "studies", "published", "folders", "fruit")


class ByFixture(LoadFileScheduling):
    """Tests of a file run in one process, as do all files with a user of one slow fixture."""

    def __init__(self, config: pytest.Config, log: Any, groups: Path) -> None:
        super().__init__(config, log)
        self._file = groups
        self._groups: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        if self._file.exists():  # the workers have collected by now
            self._groups = json.loads(self._file.read_text())
            self._file.unlink()
        file = super()._split_scope(nodeid)
        return self._groups.get(file, file)


def _groups(process: int) -> Path:
    """Where a worker of a process tells which files belong together: file -> fixture."""
    return Path(tempfile.gettempdir()) / f"kdsspark-tests-{process}.json"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    if config.getvalue("dist") != "loadfile":
        return None
    return ByFixture(config, log, _groups(os.getpid()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the process that schedules which files belong together; xdist hands it names alone."""
    if os.environ.get("PYTEST_XDIST_WORKER") != "gw0":
        return
    used: dict[str, set[str]] = {}
    for item in items:
        file = item.nodeid.partition("::")[0]
        used.setdefault(file, set()).update(getattr(item, "fixturenames", ()))
    found = {
        file: name for file, names in used.items() for name in MADE_ONCE[::-1] if name in names
    }
    _groups(os.getppid()).write_text(json.dumps(found))


def pytest_collection_finish() -> None:
    # Imports stay: looking through them again and again takes longer than many tests. When Python
    # ends, libraries in C want their objects freed.
    gc.freeze()
    atexit.register(gc.unfreeze)
    gc.set_threshold(10_000, 20, 10)  # a look through all takes a tenth of a second
    gc.enable()


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Local Spark with two cores, and four tries for a task as a cluster has."""
    warehouse = tmp_path_factory.mktemp("warehouse").as_uri()
    conf = {
        "spark.ui.enabled": False,
        "spark.sql.shuffle.partitions": 4,
        "spark.python.daemon.module": "tests.daemon",
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


@pytest.fixture
def short_report() -> Iterator[None]:
    """Reports are two small files: what they show is tested elsewhere."""
    with with_a_short_report():
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
