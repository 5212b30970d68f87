"""A signal at any moment: one line, its exit code, a record, no lock, and the next run goes on.

A hook in the interpreter (``sys.addaudithook``) sends the signal when the run opens a certain file,
imports a certain module or starts a process, so that no moment depends on the speed of a machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from _pytest.mark import ParameterSet

from kdsspark.cli import main
from kdsspark.interrupts import Interrupts, exit_code
from kdsspark.output.output import Output
from kdsspark.pipeline import records
from tests.cluster.processes import session_of
from tests.studies import write_embeddings

SLOW = pytest.mark.cluster
LINE = "kdsspark: interrupted; run again to go on"
PROGRAM = """
import os, signal, sys, threading, time

event, part, delay, number, times, *arguments = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may run in the background
pending = [part]

def send():
    for _ in range(int(times)):
        os.killpg(0, int(number))  # as a terminal does

def hook(found, values):
    if pending and found == event and pending[0] in repr(values):
        pending.clear()
        if float(delay):
            threading.Timer(float(delay), send).start()
        else:
            send()
            time.sleep(1)  # the main thread comes first

sys.addaudithook(hook)
from kdsspark.cli import main

sys.exit(main(arguments))
"""


@dataclass(frozen=True)
class Moment:
    """When something happens whose values contain ``part``, or ``delay`` seconds after that."""

    event: str
    part: str
    delay: float = 0


# name -> when, and the signal. None of these runs gets as far as a JVM that answers.
EARLY = {
    "options": (Moment("import", "kdsspark.stages"), signal.SIGINT),
    "configuration": (Moment("open", "study.yaml"), signal.SIGHUP),
    "lock": (Moment("open", "_lock/00000001.json"), signal.SIGINT),
    "listing": (Moment("open", "values.parquet"), signal.SIGINT),
    "index": (Moment("os.rename", "images/dataset=d"), signal.SIGTERM),
    "plan": (Moment("os.rename", "_plans/embed"), signal.SIGHUP),
    "java": (Moment("subprocess.Popen", "spark-submit"), signal.SIGINT),
}
# These are much like one of the above: an import, or a file that is written with the lock taken.
BESIDE = {
    "imports": (Moment("import", "kdsspark.pipeline.records"), signal.SIGTERM),
    "definitions": (Moment("os.rename", "_definitions.json"), signal.SIGTERM),
    "temporary folder": (Moment("tempfile.mkdtemp", ""), signal.SIGHUP),
}
# Spark starts in these, with nothing done before.
STARTING = {
    "launch": (Moment("subprocess.Popen", "spark-submit", 1), signal.SIGTERM),
    "connection": (Moment("socket.connect", "127.0.0.1"), signal.SIGHUP),
    "context": (Moment("socket.connect", "127.0.0.1", 0.5), signal.SIGINT),
    "session": (Moment("socket.bind", ".sock"), signal.SIGTERM),
    "job": (Moment("tempfile.mkstemp", "/pyspark-", 0.3), signal.SIGINT),
    "receipts": (Moment("os.rename", "_receipts/embedded"), signal.SIGHUP),
}
# And in these, with all done but the report.
REPORTING = {
    "views": (Moment("import", "kdsspark.report.site"), signal.SIGTERM),
    "query": (Moment("socket.connect", ".sock"), signal.SIGINT),
    "pages": (Moment("open", "templates/layer.html"), signal.SIGHUP),
    "report": (Moment("os.rename", "report/index.html"), signal.SIGINT),
}


def cases(*tables: dict[str, tuple[Moment, signal.Signals]]) -> list[ParameterSet]:
    """Those of a run that starts, and those that are left to ``make cluster-test``."""
    return [
        pytest.param(*case, id=name, marks=() if table is EARLY else SLOW)
        for table in tables
        for name, case in table.items()
    ]


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "values.parquet"
    rows = np.random.default_rng(0).normal(size=(12, 3))
    write_embeddings(path, {"layer": rows}, ["a", "b", "c"] * 4)
    return path


def study(folder: Path, values: Path) -> Path:
    """A configuration whose output is ``folder/out``."""
    raw = {"output": str(folder / "out"), "datasets": [{"name": "d", "embeddings": str(values)}]}
    raw |= {"spark": {"conf": {"spark.ui.enabled": False}}}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory,
    values: Path,
    spark: object,  # noqa: ARG001 (of the stages)
) -> Path:
    """An output that lacks nothing but the report."""
    folder = tmp_path_factory.mktemp("measured")
    for stage in ("index", "embed", "measure", "summarize", "check"):
        assert main([stage, "--config", str(study(folder, values))]) == 0
    return folder / "out"


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A temporary folder of the run's own; its path is short, because sockets lie there."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def interrupt(
    path: Path, scratch: Path, moment: Moment, number: signal.Signals, times: int = 1
) -> subprocess.CompletedProcess[str]:
    """Run the study, which gets the signal at that moment, and wait until all of it has ended."""
    when = [moment.event, moment.part, str(moment.delay), str(int(number)), str(times)]
    started = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *when, "run", "--config", str(path)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = started.communicate(timeout=300)
    deadline = time.monotonic() + 60
    while left := session_of(started.pid):
        assert time.monotonic() < deadline, f"processes are left: {left}"
        time.sleep(0.1)
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


def assert_in_order(
    done: subprocess.CompletedProcess[str], path: Path, scratch: Path, code: int
) -> None:
    """One line, the exit code, a record, a lock that is free, and no temporary files."""
    assert done.returncode == code, done.stderr
    said = done.stderr.splitlines()
    assert [line for line in said if "kdsspark" in line or "Traceback" in line] == [LINE]
    assert said[-1] == LINE
    output = Output.at(str(path.parent / "out"))
    record = records.latest(output)
    assert record is not None
    assert (record.exit_code, record.error) == (code, LINE.removeprefix("kdsspark: "))
    locks = output.files("_lock")
    assert [output.read_json(lock).get("released") for lock in locks] in ([], [True])
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(("moment", "number"), cases(EARLY, BESIDE, STARTING))
def test_a_run_is_interrupted(
    tmp_path: Path, values: Path, scratch: Path, moment: Moment, number: signal.Signals
) -> None:
    path = study(tmp_path, values)
    done = interrupt(path, scratch, moment, number)
    assert_in_order(done, path, scratch, 128 + number)


@pytest.mark.parametrize(("moment", "number"), cases(REPORTING))
def test_a_report_is_interrupted(
    tmp_path: Path,
    values: Path,
    measured: Path,
    scratch: Path,
    moment: Moment,
    number: signal.Signals,
) -> None:
    path = study(tmp_path, values)
    shutil.copytree(measured, tmp_path / "out")
    done = interrupt(path, scratch, moment, number)
    assert_in_order(done, path, scratch, 128 + number)


@pytest.mark.usefixtures("spark", "short_report")
def test_the_next_run_goes_on(
    tmp_path: Path, values: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C twice, the second time during the clean-up."""
    path = study(tmp_path, values)
    done = interrupt(path, scratch, *EARLY["plan"], times=2)
    assert_in_order(done, path, scratch, 129)
    assert main(["run", "--config", str(path)]) == 0
    assert (tmp_path / "out" / "report" / "index.html").exists()
    assert "report:" in capsys.readouterr().out


# -- without a run -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_comes_before_work_that_takes_longer(number: signal.Signals) -> None:
    released = threading.Event()

    def work() -> bool:
        signal.raise_signal(number)
        return released.wait(60)

    assert Interrupts().during(work) == number
    released.set()
    assert exit_code(number) == {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}[number.name]


def test_after_an_early_signal_no_work_begins() -> None:
    interrupts = Interrupts()
    signal.raise_signal(signal.SIGTERM)
    assert interrupts.during(lambda: pytest.fail("began")) == signal.SIGTERM


def test_what_work_returns_or_raises_comes_back() -> None:
    def fail() -> None:
        raise SystemExit(2)

    assert Interrupts().during(lambda: "done") == "done"
    with pytest.raises(SystemExit, match="2"):
        Interrupts().during(fail)


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    Interrupts()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
