"""Starting Spark: our defaults under what spark-submit says, one Python everywhere (driver)."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext, java_gateway
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.sql import SparkSession

from kdsspark.config import Spark
from kdsspark.engine import connect, failed_start, machine, stalls
from kdsspark.engine.work import Session
from kdsspark.errors import ConfigError, KdssparkError, StartError

_LOCAL_ATTEMPTS: Final = 4
_SECONDS_TO_STOP: Final = 10
_LONGEST_SOCKET_FOLDER: Final = 50  # names of sockets have 107 bytes at most
_FIRST_COMPILER: Final = "-XX:TieredStopAtLevel=1"
_GATEWAY: Final = "PYSPARK_GATEWAY_PORT"  # spark-submit sets it


def start(settings: Spark, verbose: bool = False) -> SparkSession:
    """A session with ``settings`` wherever spark-submit is silent, for queries.

    Unless ``verbose``, what the JVM writes goes to the file :func:`log_file` and not to the
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


def stop() -> None:
    """End the JVM that this process started, and with it all tasks that run on this machine.

    The JVM ends by itself when its input does. If it has not answered yet, or takes too long, it is
    killed. No other is started afterwards. The JVM of spark-submit is left alone: it ends when this
    process has ended.
    """
    with _launching:
        _stopped.set()
    while _launched:
        process = _launched.pop()
        if SparkContext._gateway and process.stdin:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS_TO_STOP)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# -- starting ------------------------------------------------------------------------------------


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
        log = log_file()
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
    conf = submitted or SparkConf(loadDefaults=False).setMaster(_with_retries(settings.master))
    conf.setIfMissing("spark.master", settings.master)
    master = conf.get("spark.master") or ""
    for key, value in _defaults(settings, master, submitted is not None, schedules).items():
        conf.setIfMissing(key, value)
    if submitted:
        variables = {"PYSPARK_PYTHON": machine.python(master)}
    else:
        machine.check()
        variables = machine.variables(master)
    with _restored_sigint(), _environment(variables):
        if not submitted:
            _launch(conf, verbose)
        context = SparkContext.getOrCreate(conf)
    # A JVM that ends, asked or not, has the thread that adds up accumulators print a traceback.
    context._accumulatorServer.handle_error = lambda *_: None  # type: ignore[method-assign]
    context.setLogLevel("INFO" if verbose else "ERROR")
    return context


def _launch(conf: SparkConf, verbose: bool) -> None:
    """Start a JVM of our own, which takes some options, driver memory among them, only now.

    Signals that a terminal sends to the group of this process do not reach it.
    """
    if SparkContext._gateway:
        return
    with _output(verbose) as output, _own_temporary_files():
        atexit.register(stop)  # before the folder is removed, which the JVM uses
        options = {"stdout": output, "stderr": output, "process_group": 0}
        gateway = java_gateway.launch_gateway(conf, options)  # type: ignore[no-untyped-call]
        SparkContext._ensure_initialized(gateway=gateway)
    if name := machine.nameless_user():
        _log_in(name)


class _Launched(subprocess.Popen[bytes]):
    """The process of a JVM, which PySpark does not show before the JVM has answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        with _launching:
            if _stopped.is_set():
                raise StartError("Spark did not start: this process is about to end")
            super().__init__(*arguments, **options)
            _launched.append(self)


_launched: Final[list[_Launched]] = []
_launching: Final = threading.Lock()
_stopped: Final = threading.Event()
java_gateway.Popen = _Launched  # type: ignore[attr-defined, assignment]


def _log_in(name: str) -> None:
    """Give Hadoop a user without asking the system, which knows none by the number."""
    users = SparkContext._jvm.org.apache.hadoop.security.UserGroupInformation  # type: ignore[union-attr]
    users.setLoginUser(users.createRemoteUser(name))


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
def _own_temporary_files() -> Iterator[None]:
    """PySpark makes a folder while the JVM starts, and leaves it if the process ends then."""
    before, tempfile.tempdir = tempfile.gettempdir(), machine.own_folder()
    try:
        yield
    finally:
        tempfile.tempdir = before


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


def _with_retries(master: str) -> str:
    """Local masters try a task once, unless told: a worker killed for memory would end the run."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{local[1] or 1},{_LOCAL_ATTEMPTS}]" if local else master


# -- settings ------------------------------------------------------------------------------------


def _defaults(settings: Spark, master: str, submitted: bool, schedules: bool) -> dict[str, str]:
    wanted = {
        "spark.app.name": "kdsspark",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Rows of one Arrow batch to Python; wide rows make the default of 10,000 half a gigabyte.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    }
    if settings.stalled_seconds is not None:
        wanted[stalls.AFTER] = str(settings.stalled_seconds)
        wanted[stalls.FAILS] = str(settings.when_stalled == "fail").lower()
    if not submitted:
        # The second compiler takes half of the time of a JVM that lives for a minute.
        brief = [_FIRST_COMPILER] if schedules and machine.is_local(master) else []
        options = " ".join([machine.java_options(), *brief])
        wanted["spark.driver.defaultJavaOptions"] = options
    if machine.is_local(master):
        wanted |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.port.maxRetries": "200",  # other applications may hold the ports of the UI
            "spark.sql.shuffle.partitions": "8",  # the default is for clusters
            "spark.python.daemon.module": "kdsspark.engine.daemon",
        }
        if len(machine.own_folder()) < _LONGEST_SOCKET_FOLDER:
            # A task starts in a third of the time it takes over TCP.
            wanted["spark.python.unix.domain.socket.enabled"] = "true"
            wanted["spark.python.unix.domain.socket.dir"] = machine.own_folder()
    return wanted | {key: failed_start.text(value) for key, value in settings.conf.items()}


# -- what the JVM writes -------------------------------------------------------------------------


@functools.cache
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
    with suppress(OSError):
        log_file().unlink()


@contextmanager
def _output(verbose: bool) -> Iterator[IO[bytes] | None]:
    """Where a child process writes: :func:`log_file`, or with ``verbose`` the terminal."""
    if verbose:
        yield None
        return
    atexit.register(_remove_log)
    with log_file().open("ab") as log:
        yield log
