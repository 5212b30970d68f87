"""Settings of Spark where users say nothing (driver)."""

from __future__ import annotations

import re
import shlex
from typing import Final

from kdsspark.config import Spark
from kdsspark.engine import stalls
from kdsspark.engine.starting import archive, daemon, failed_start, jvm, machine

_LOCAL_ATTEMPTS: Final = 4
_LONGEST_SOCKET_FOLDER: Final = 50  # names of sockets have 107 bytes at most
_FIRST_COMPILER: Final = "-XX:TieredStopAtLevel=1"


def with_retries(master: str) -> str:
    """Local masters try a task once, unless told: a worker killed for memory would end the run."""
    local = re.fullmatch(r"local(?:\[(\d+|\*)\])?", master)
    return f"local[{local[1] or 1},{_LOCAL_ATTEMPTS}]" if local else master


def of(
    settings: Spark, master: str, submitted: bool, schedules: bool, verbose: bool = False
) -> dict[str, str]:
    """Settings by name: what ``settings`` say, and ours for the rest.

    ``submitted``: spark-submit has started the JVM. ``schedules``: the JVM hands out tasks, and
    runs no long query itself. ``verbose``: a JVM of ours writes its whole log.
    """
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
        log = jvm.log_options() if verbose else []
        options = [*machine.java_options(), *archive.java_options(), *brief, *log]
        wanted["spark.driver.defaultJavaOptions"] = shlex.join(options)
    if machine.is_local(master):
        wanted |= {
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.port.maxRetries": "200",  # other applications may hold the ports of the UI
            "spark.sql.shuffle.partitions": "8",  # the default is for clusters
            "spark.python.daemon.module": daemon.__name__,
        }
        if len(machine.own_folder()) < _LONGEST_SOCKET_FOLDER:
            # A task starts in a third of the time it takes over TCP.
            wanted["spark.python.unix.domain.socket.enabled"] = "true"
            wanted["spark.python.unix.domain.socket.dir"] = machine.own_folder()
    return wanted | {key: failed_start.text(value) for key, value in settings.conf.items()}
