"""A Spark standalone cluster on 127.0.0.1, out of the installed pyspark, for as long as a block."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyspark

ROOT: Final = Path(__file__).parents[2]
SPARK_HOME: Final = Path(pyspark.__file__).parent
_START_SECONDS: Final = 300
_DEPLOY: Final = "org.apache.spark.deploy"
_QUICK_JAVA: Final = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # to start, not to run for long


@dataclass(frozen=True)
class Cluster:
    """A master with its workers; ``folder`` holds what they and their executors write."""

    url: str  # spark://127.0.0.1:port
    page: str  # http://127.0.0.1:port
    folder: Path
    workers: tuple[subprocess.Popen[bytes], ...]

    def state(self) -> dict[str, Any]:
        """What the master says of its workers and applications."""
        with urllib.request.urlopen(f"{self.page}/json/", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def submit(
        self, *arguments: str | Path, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """``spark-submit --master <this> <arguments>``, the driver here, in the checkout's root."""
        command = [SPARK_HOME / "bin" / "spark-submit", "--master", self.url, *arguments]
        return subprocess.run(
            [os.fspath(part) for part in command],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
        )


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of every process of a cluster: this interpreter, this checkout, this machine alone."""
    own = {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": _QUICK_JAVA,
        "SPARK_SUBMIT_OPTS": _QUICK_JAVA,
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),  # executors start in folders of their own
    }
    return {**os.environ, **own, **(extra or {})}


@contextmanager
def standalone(
    folder: Path,
    workers: int = 1,
    cores: int = 2,
    memory: str = "1g",
    conf: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """``with standalone(tmp_path) as cluster``: registered workers, all killed at the end.

    Every worker offers ``cores`` and ``memory``; ``conf`` are Spark's settings of the workers
    (``spark.worker.*``) and ``env`` their environment, which their executors inherit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "workers.conf"
    properties.write_text("".join(f"{key} {value}\n" for key, value in (conf or {}).items()))
    local = ("--host", "127.0.0.1", "--port", "0", "--webui-port", "0")
    with ExitStack() as processes:
        master = processes.enter_context(_daemon(folder / "master", "master.Master", local, {}))
        url = _logged(master, folder / "master", r"Starting Spark master at (spark://\S+)")
        page = _logged(master, folder / "master", r"MasterWebUI to .* started at (http://\S+)")
        started = []
        for number in range(workers):
            home = folder / f"worker-{number}"
            offer = ("--cores", str(cores), "--memory", memory, "--work-dir", str(home))
            arguments = (*local, *offer, "--properties-file", str(properties), url)
            daemon = _daemon(home, "worker.Worker", arguments, env or {})
            started.append(processes.enter_context(daemon))
        cluster = Cluster(url, page, folder, tuple(started))
        _await_workers(cluster)
        yield cluster


@contextmanager
def _daemon(
    home: Path, name: str, arguments: Sequence[str], env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, killed with all it started."""
    home.mkdir()
    scratch = {"SPARK_LOCAL_DIRS": str(home / "scratch")}  # which a killed executor leaves
    command = [str(SPARK_HOME / "bin" / "spark-class"), f"{_DEPLOY}.{name}", *arguments]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=home,
            env=environment({**env, **scratch}),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _logged(process: subprocess.Popen[bytes], home: Path, pattern: str) -> str:
    """The group of ``pattern`` in a daemon's log, as soon as it is written."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        log = (home / "log").read_text(errors="replace")
        if found := re.search(pattern, log):
            return found[1]
        assert process.poll() is None, f"{home.name} ended:\n{log}"
        assert time.monotonic() < deadline, f"{home.name} says nothing of {pattern}:\n{log}"
        time.sleep(0.05)


def _await_workers(cluster: Cluster) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while cluster.state()["aliveworkers"] < len(cluster.workers):
        logs = [path.read_text(errors="replace") for path in cluster.folder.glob("worker-*/log")]
        ended = any(worker.poll() is not None for worker in cluster.workers)
        assert not ended, "\n".join(logs)
        assert time.monotonic() < deadline, "\n".join(logs)
        time.sleep(0.1)
