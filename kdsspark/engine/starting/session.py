"""Starting Spark: our defaults under what spark-submit says, one Python everywhere (driver)."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession

from kdsspark.config import Spark
from kdsspark.engine.starting import connect, defaults, failed_start, jvm, machine
from kdsspark.engine.work import Session
from kdsspark.errors import ConfigError, KdssparkError, StartError

_GATEWAY: Final = "PYSPARK_GATEWAY_PORT"  # spark-submit sets it


def start(settings: Spark, verbose: bool = False) -> SparkSession:
    """A session with ``settings`` wherever spark-submit is silent, for queries.

    Unless ``verbose``, what the JVM writes goes to the file :func:`jvm.log_file` and not to the
    terminal. Raises :class:`ConfigError` where a setting keeps Spark from starting, and
    :class:`KdssparkError` where the machine does.
    """
    with _failures(settings):
        _start(settings, verbose, schedules=False)
        return SparkSession.builder.getOrCreate()


def at_need(settings: Spark, verbose: bool = False) -> Session:
    """A Spark that runs tasks and no query, started when it is first used: nothing new needs none.

    Without what answers queries, Spark starts in two thirds of the time. Raises what :func:`start`
    does. In cluster mode Spark is started at once: YARN takes an application without one for
    failed.
    """
    spark = _AtNeed(settings, verbose)
    submitted = _submitted()
    if submitted and submitted.get("spark.submit.deployMode") == "cluster":
        _ = spark.sparkContext
    return spark


@dataclass(frozen=True)
class _AtNeed:
    settings: Spark
    verbose: bool

    @functools.cached_property
    def sparkContext(self) -> SparkContext:  # noqa: N802 (Spark's name)
        with _failures(self.settings):
            return _start(self.settings, self.verbose, schedules=True)


def existing() -> SparkSession | None:
    """The session that this process has already, whoever started it; None without one.

    Raises :class:`ConfigError` where it is one of Spark Connect.
    """
    connect.refuse({})
    try:
        return SparkSession.active()
    except PySparkRuntimeError:
        return None


def activate(session: SparkSession) -> None:
    """Make a session the active one again; the sessions that views lie in become it on the way."""
    SparkSession._activeSession = session
    java: Any = session._jvm
    SparkSession._get_j_spark_session_class(java).setActiveSession(session._jsparkSession)


def _submitted() -> SparkConf | None:
    """What spark-submit says, which is read from its JVM; None without spark-submit."""
    port = os.environ.get(_GATEWAY)
    if port is None:
        return None
    try:
        SparkContext._ensure_initialized()
        return SparkConf()
    except (Py4JError, OSError, ValueError, KeyError) as error:
        raise KdssparkError(
            f"{_GATEWAY} must be unset, or set by the spark-submit that runs this program, "
            f"got {port}: nothing answers there"
        ) from error


@contextmanager
def _failures(settings: Spark) -> Iterator[None]:
    """What Spark raises in the block becomes one line, which names the setting at fault."""
    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        log = jvm.log_file()
        written = log.read_text(errors="replace") if log.exists() else ""
        cause = failed_start.cause(error, written)
        for text in (cause, written):
            if blamed := failed_start.blamed(settings, text):
                raise ConfigError(f"{blamed}: {cause}") from error
        raise StartError(f"Spark did not start: {cause}") from error


def _start(settings: Spark, verbose: bool, schedules: bool) -> SparkContext:
    """``schedules``: the JVM hands out tasks, and runs no long query itself."""
    connect.refuse(settings.conf, "spark.conf.")
    submitted = _submitted()
    connect.refuse(dict(submitted.getAll()) if submitted else {})
    conf = submitted or SparkConf(loadDefaults=False).setMaster(
        defaults.with_retries(settings.master)
    )
    conf.setIfMissing("spark.master", settings.master)
    master = conf.get("spark.master") or ""
    ours = defaults.of(settings, master, submitted is not None, schedules, verbose)
    for key, value in ours.items():
        conf.setIfMissing(key, value)
    if submitted:
        variables = {"PYSPARK_PYTHON": machine.python(master)}
    else:
        machine.check()
        variables = machine.variables(master)
    with _restored_sigint(), _environment(variables):
        if not submitted:
            jvm.launch(conf, verbose)
        context = SparkContext.getOrCreate(conf)
    # A JVM that ends, asked or not, has the thread that adds up accumulators print a traceback.
    context._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]
    context.setLogLevel("INFO" if verbose else "ERROR")
    return context


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The variables are set in the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _restored_sigint() -> Iterator[None]:
    """Starting Spark in the main thread has Ctrl-C call Java in the middle of another call."""
    before = signal.getsignal(signal.SIGINT)
    # py4j logs the traceback of every error that it also raises.
    logging.getLogger().addFilter(_is_not_of_py4j)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _is_not_of_py4j(record: logging.LogRecord) -> bool:
    return record.module not in ("java_gateway", "clientserver")
