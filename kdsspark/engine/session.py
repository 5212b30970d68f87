"""Starting Spark: our defaults under what spark-submit says, one Python everywhere (driver)."""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from kdsspark.config import Spark

Session = SparkSession
"""What the stages know of Spark."""

_LOCAL_ATTEMPTS: Final = 4
_LONGEST_SOCKET_FOLDER: Final = 50  # names of sockets have 107 bytes at most


def start(settings: Spark, verbose: bool = False) -> SparkSession:
    """A session with ``settings`` wherever spark-submit is silent.

    Unless ``verbose``, what the JVM writes goes to the file :func:`log_file` and not to the
    terminal.
    """
    # Workers run the interpreter that has this package, activated environment or not.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    submitted = _submitted()
    if submitted:
        conf = submitted
        conf.setIfMissing("spark.master", settings.master)
    else:
        conf = SparkConf(loadDefaults=False).setMaster(_with_retries(settings.master))
    for key, value in _defaults(settings, conf.get("spark.master") or "").items():
        conf.setIfMissing(key, value)
    with _quiet_stderr(enabled=not (verbose or submitted)):
        # A JVM of our own takes its options, driver memory among them, only when it starts.
        SparkContext._ensure_initialized(conf=None if submitted else conf)
    session = SparkSession.builder.config(conf=conf).getOrCreate()
    session.sparkContext.setLogLevel("INFO" if verbose else "ERROR")
    return session


def at_need(settings: Spark, verbose: bool = False) -> Any:
    """What :func:`start` returns, started when it is first used: nothing new needs no Spark.

    In cluster mode it is started at once: YARN takes an application without one for failed.
    """
    submitted = _submitted()
    if submitted and submitted.get("spark.submit.deployMode") == "cluster":
        return start(settings, verbose)
    return _AtNeed(settings, verbose)


@dataclass(frozen=True)
class _AtNeed:
    settings: Spark
    verbose: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    @functools.cached_property
    def _session(self) -> SparkSession:
        return start(self.settings, self.verbose)


def _submitted() -> SparkConf | None:
    """What spark-submit says, which is read from its JVM; None without spark-submit."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    SparkContext._ensure_initialized()
    return SparkConf()


def _with_retries(master: str) -> str:
    """Local masters try a task once, unless told: a worker killed for memory would end the run."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{local[1] or 1},{_LOCAL_ATTEMPTS}]" if local else master


def log_file() -> Path:
    """Where the JVM and the Python workers of this process write what nobody asked to see.

    Removed when the process ends, unless :func:`keep_log` was called.
    """
    return Path(tempfile.gettempdir()) / f"kdsspark-{os.getpid()}.log"


def keep_log() -> Path:
    """The log file, which stays: somebody is told to read it."""
    atexit.unregister(_remove_log)
    return log_file()


def _remove_log() -> None:
    log_file().unlink(missing_ok=True)


def _defaults(settings: Spark, master: str) -> dict[str, str]:
    wanted = {
        "spark.app.name": "kdsspark",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Rows of one Arrow batch to Python; wide rows make the default of 10,000 half a gigabyte.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    }
    if master.startswith("local"):
        wanted |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "8",  # the default is for clusters
        }
        if len(_socket_folder()) < _LONGEST_SOCKET_FOLDER:
            # A task starts in a third of the time it takes over TCP.
            wanted["spark.python.unix.domain.socket.enabled"] = "true"
            wanted["spark.python.unix.domain.socket.dir"] = _socket_folder()
    return wanted | {key: _text(value) for key, value in settings.conf.items()}


@functools.cache
def _socket_folder() -> str:
    """Where Spark makes its sockets, of which it leaves some behind, for as long as we run."""
    folder = tempfile.mkdtemp(prefix="kdsspark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def _quiet_stderr(enabled: bool) -> Iterator[None]:
    """A child process started in the block writes its stderr to :func:`log_file` for life."""
    if not enabled:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    atexit.register(_remove_log)
    with log_file().open("ab") as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
