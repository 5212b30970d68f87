"""How a command ends: its exit code, the line for people, and what it leaves; without Spark."""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsspark import command
from kdsspark.command import Command
from kdsspark.engine.starting import jvm
from kdsspark.errors import ConfigError, DatasetError, StartError, TooManyFailuresError
from kdsspark.interrupts import Interrupts


class Undisturbed(Interrupts):
    """No signal comes, and none is listened to."""

    def __init__(self) -> None:
        pass

    def during(self, work: Callable[[], int]) -> int | signal.Signals:
        return work()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where details are written."""
    path = tmp_path / "details.log"
    monkeypatch.setattr(jvm, "keep_log", lambda: path)
    return path


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    """The configuration of a dataset of two images, and what a run leaves beside them."""
    for name in ("a/1.png", "b/2.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    raw = {
        "output": str(tmp_path / "out"),
        "networks": [{"name": "vgg16", "weights": "random"}],
        "datasets": [{"name": "set", "path": str(tmp_path / "images")}],
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return str(path)


def of(name: str, **options: Any) -> Command:
    usual = {"verbose": False, "metrics": None, "overrides": [], "fresh": False, "pair": []}
    return Command(
        argparse.Namespace(**usual | {"command": name, "retry_failures": False} | options)
    )


def outcome(error: BaseException, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    def fail(_: Command) -> int:
        raise error

    monkeypatch.setattr(Command, "_do", fail)
    return of("run", **options).outcome(Undisturbed())


# -- how it ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("measure.bins: must be at least 2, got 1"), 2),
        (DatasetError("dataset a: must have images, got none"), 1),
        (TooManyFailuresError("dataset a: 3 of 4 images failed"), 3),
    ],
)
def test_what_a_user_can_mend_is_its_own_line(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    assert outcome(error, monkeypatch) == (code, str(error))
    assert not log.exists()


def test_a_line_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    error = DatasetError("cannot read s3://id:hidden@bucket/x.csv")
    assert outcome(error, monkeypatch) == (1, "cannot read s3://***@bucket/x.csv")


def test_where_spark_did_not_start_its_log_is_named(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    line = f"Spark did not start; what it wrote is in {log}"
    assert outcome(StartError("Spark did not start"), monkeypatch) == (1, line)


def test_a_defect_has_its_traceback_in_the_log_without_secrets(
    monkeypatch: pytest.MonkeyPatch, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = ValueError("token=hidden is no number")
    expected = (1, f"failed: ValueError: token=*** is no number\nkdsspark: details in {log}")
    assert outcome(error, monkeypatch) == expected
    written = log.read_text()
    assert written.startswith("Traceback")
    assert "in fail" in written
    assert "hidden" not in written
    assert capsys.readouterr().err == ""
    outcome(error, monkeypatch, verbose=True)
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "token=***" in shown


def test_where_no_log_can_be_written_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jvm, "keep_log", lambda: tmp_path / "no" / "folder")
    code, line = outcome(ValueError("x"), monkeypatch)
    assert code == 1
    assert "kdsspark: no details, TMPDIR must be a folder with space: " in line


def test_a_full_disk_is_shown_with_what_is_free(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    _, line = outcome(OSError(28, "No space left on device"), monkeypatch)
    assert line.startswith("failed: OSError: [Errno 28] No space left on device; free: ")
    assert f"MiB in {tempfile.gettempdir()} (TMPDIR)" in line
    assert str(log) in line


def test_at_a_prompt_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(KeyboardInterrupt(), monkeypatch) == (130, "interrupted")


def test_a_unit_to_draw_is_a_number(config_file: str) -> None:
    pair = [["set", "fc7", "seven", "a"]]
    code, line = of("run", config=config_file, pair=pair).outcome(Undisturbed())
    assert code == 2
    assert line == "--pair must have the number of a unit in third place, got seven"


# -- what it leaves ------------------------------------------------------------------------------


def _records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "out" / "runs").glob("*"))]


def test_a_stage_leaves_a_record_and_metrics(config_file: str, tmp_path: Path) -> None:
    metrics = tmp_path / "kdsspark.prom"
    done = of("index", config=config_file, metrics=str(metrics))
    assert done.outcome(Undisturbed()) == (0, None)
    done.record(0, None)
    (record,) = _records(tmp_path)
    assert (record["command"], record["exit_code"], record["error"]) == ("index", 0, None)
    assert [stage["stage"] for stage in record["stages"]] == ["index"]
    assert "kdsspark" in metrics.read_text()


def test_a_command_that_failed_leaves_the_first_line_of_what_was_said(
    config_file: str, tmp_path: Path
) -> None:
    done = of("index", config=config_file)
    assert done.outcome(Undisturbed()) == (0, None)
    done.record(1, "failed: x\nkdsspark: details in y")
    (record,) = _records(tmp_path)
    assert (record["exit_code"], record["error"]) == (1, "failed: x")


@pytest.mark.parametrize("read", [False, True])
def test_a_question_or_a_command_that_did_not_begin_leaves_nothing(
    config_file: str, tmp_path: Path, read: bool
) -> None:
    asked = of("status", config=config_file)
    if read:
        assert asked.outcome(Undisturbed())[0] == 0
        assert asked.run is not None
    asked.record(0, None)
    assert not (tmp_path / "out" / "runs").exists()


def test_metrics_that_cannot_be_written_are_a_line(
    config_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    done = of("index", config=config_file, metrics=str(folder))
    done.outcome(Undisturbed())
    capsys.readouterr()
    done.record(0, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kdsspark: --metrics")
    assert len(_records(tmp_path)) == 1


@pytest.mark.parametrize(
    ("query", "terminal", "prompt"), [(None, True, True), (None, False, False), ("x", True, False)]
)
def test_statements_are_typed_only_at_a_terminal(
    query: str | None, terminal: bool, prompt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    assert command._is_prompt(argparse.Namespace(command="sql", query=query)) is prompt
