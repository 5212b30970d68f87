"""The JVM that this process starts, ends, and keeps from the terminal (driver)."""

from __future__ import annotations

import atexit
import functools
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from pyspark import SparkConf, SparkContext, java_gateway

from kdsspark.engine.starting import machine
from kdsspark.errors import StartError


def launch(conf: SparkConf, verbose: bool) -> None:
    """Start a JVM of our own, which takes some options, driver memory among them, only now.

    Signals that a terminal sends to the group of this process do not reach it.
    """
    if SparkContext._gateway:
        return
    with output(verbose) as written, _own_temporary_files():
        atexit.register(stop)  # before the folder is removed, which the JVM uses
        options = {"stdout": written, "stderr": written, "process_group": 0}
        gateway = java_gateway.launch_gateway(conf, options)  # type: ignore[no-untyped-call]
        SparkContext._ensure_initialized(gateway=gateway)
    if name := machine.nameless_user():
        _log_in(name)


def stop(seconds: float = 10) -> bool:
    """End the JVM that this process started, and with it all tasks that run on this machine.

    The JVM ends by itself when its input does. If it has not answered yet, or takes longer, it is
    killed. No other is started afterwards. The JVM of spark-submit is left alone: it ends when this
    process has ended. Returns whether none was killed or failed.
    """
    with _launching:
        _stopped.set()
    codes = []
    while _launched:
        process = _launched.pop()
        if SparkContext._gateway and process.stdin:
            _hang_up()
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        codes.append(process.wait())
    return not any(codes)


def _hang_up() -> None:
    """Close the connections to the JVM, which else waits a quarter of a second for their threads.

    One that does not answer is not waited for long.
    """

    def hang_up() -> None:
        with suppress(Exception):
            SparkContext._gateway.shutdown()  # type: ignore[union-attr]

    closing = threading.Thread(target=hang_up, daemon=True)
    closing.start()
    closing.join(1)


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
def _own_temporary_files() -> Iterator[None]:
    """PySpark makes a folder while the JVM starts, and leaves it if the process ends then."""
    before, tempfile.tempdir = tempfile.gettempdir(), machine.own_folder()
    try:
        yield
    finally:
        tempfile.tempdir = before


@functools.cache
def log_file() -> Path:
    """Where the JVM and the Python workers of this process write what nobody asked to see.

    Removed when the process ends, unless :func:`keep_log` was called.
    """
    return Path(tempfile.gettempdir()) / f"kdsspark-{os.getpid()}.log"


_WHOLE_LOG: Final = """\
rootLogger.level = info
rootLogger.appenderRef.terminal.ref = terminal
logger.shell.name = org.apache.spark.api.python.PythonGatewayServer
logger.shell.level = info
appender.terminal.type = Console
appender.terminal.name = terminal
appender.terminal.target = SYSTEM_ERR
appender.terminal.layout.type = PatternLayout
appender.terminal.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


def log_options() -> list[str]:
    """What has a JVM of ours write its whole log.

    Spark takes Python for a shell, and shows no more than the level of the shell's own logger,
    which is that of warnings, whatever level is asked for.
    """
    file = Path(machine.own_folder(), "log4j2.properties")
    file.write_text(_WHOLE_LOG)
    return [f"-Dlog4j2.configurationFile={file}"]


def keep_log() -> Path:
    """The log file, which stays: somebody is told to read it."""
    atexit.unregister(_remove_log)
    return log_file()


def _remove_log() -> None:
    with suppress(OSError):
        log_file().unlink()


@contextmanager
def output(verbose: bool) -> Iterator[IO[bytes] | None]:
    """Where a child process writes: :func:`log_file`, or with ``verbose`` the terminal."""
    if verbose:
        yield None
        return
    atexit.register(_remove_log)
    with log_file().open("ab") as log:
        yield log
