"""Starting Spark: our defaults under what spark-submit says, one Python everywhere (driver)."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from kdsspark.config import Spark


def start(settings: Spark, verbose: bool = False) -> SparkSession:
    """A session with ``settings`` wherever spark-submit and spark-defaults.conf are silent.

    Unless ``verbose``, what the JVM writes goes to the file :func:`log_file` and not to the
    terminal.
    """
    # Workers run the interpreter that has this package, activated environment or not.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    wanted = _defaults(settings)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    with _quiet_stderr(enabled=not (verbose or submitted)):
        # A JVM of our own takes its options, driver memory among them, only when it starts.
        SparkContext._ensure_initialized(conf=None if submitted else _plain(wanted))
    conf = SparkConf()
    for key, value in wanted.items():
        conf.setIfMissing(key, value)
    session = SparkSession.builder.config(conf=conf).getOrCreate()
    session.sparkContext.setLogLevel("INFO" if verbose else "ERROR")
    return session


def log_file() -> Path:
    """Where the JVM and the Python workers of this process write what nobody asked to see."""
    return Path(tempfile.gettempdir()) / f"kdsspark-{os.getpid()}.log"


def _defaults(settings: Spark) -> dict[str, str]:
    wanted = {
        "spark.app.name": "kdsspark",
        "spark.master": settings.master,
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Rows of one Arrow batch to Python; wide rows make the default of 10,000 half a gigabyte.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    }
    if settings.master.startswith("local"):
        wanted |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    return wanted | {key: _text(value) for key, value in settings.conf.items()}


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(values: dict[str, str]) -> SparkConf:
    conf = SparkConf(loadDefaults=False)
    for key, value in values.items():
        conf.set(key, value)
    return conf


@contextmanager
def _quiet_stderr(enabled: bool) -> Iterator[None]:
    """A child process started in the block writes its stderr to :func:`log_file` for life."""
    if not enabled:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    with log_file().open("ab") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
