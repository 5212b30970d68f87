"""The examples in conf/schedules are what their programs read, and documented."""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

from kdsspark.cli import _parser

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf" / "schedules"
SHOWN = [*sorted(FOLDER.iterdir()), ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# `kdsspark run --config FILE` or `jobs/run.py --config FILE`, to the end of the command.
COMMAND = re.compile(r"(?:\bkdsspark|\bjobs/(\w+)\.py)\s+([^`;|#<>&\n]*--config[^`;|#<>&\n]*)")


def commands(text: str) -> list[list[str]]:
    """The arguments of every command that is shown, as the parser gets them."""
    found = COMMAND.finditer(re.sub(r"\\\n", " ", text))
    return [[job for job in [one[1]] if job] + shlex.split(one[2]) for one in found]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_every_command_that_is_shown_is_one(path: Path) -> None:
    for arguments in commands(path.read_text(encoding="utf-8")):
        options = _parser().parse_args(arguments)
        assert options.config.endswith(("FILE", ".yaml")), arguments


def test_commands_are_found() -> None:
    shown = {path.name: commands(path.read_text(encoding="utf-8")) for path in SHOWN}
    for name in ("kdsspark.cron", "kdsspark.service", "kubernetes.yaml"):
        assert [arguments[0] for arguments in shown[name]] == ["run"], name
    assert all(shown[name] for name in ("README.md", "clusters.md", "schedules.md", "sql.md"))


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_every_job_that_is_named_is_there(path: Path) -> None:
    for name in re.findall(r"\bjobs/\w+\.py\b", path.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_every_example_is_documented() -> None:
    names = {path.name for path in FOLDER.iterdir() if path.is_file()}
    linked = re.findall(
        r"\]\(\.\./conf/schedules/([\w.-]+)\)", (ROOT / "docs" / "schedules.md").read_text()
    )
    assert set(linked) == names


def test_the_crontab_has_five_fields_and_a_shell_command() -> None:
    lines = (FOLDER / "kdsspark.cron").read_text().splitlines()
    (entry,) = [line for line in lines if re.match(r"[\d*]", line)]
    *fields, command = entry.split(maxsplit=5)
    assert all(re.fullmatch(r"\*|\d{1,2}", field) for field in fields)
    assert len(fields) == 5
    assert "%" not in command  # a new line to cron
    subprocess.run(["bash", "-n", "-c", command], check=True)


def test_the_systemd_units_have_their_sections() -> None:
    wanted = {
        "kdsspark.service": {"Unit", "Service"},
        "kdsspark.timer": {"Unit", "Timer", "Install"},
    }
    for name, sections in wanted.items():
        parser = configparser.ConfigParser(interpolation=None, strict=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(FOLDER / name)
        assert set(parser.sections()) == sections
    service = configparser.ConfigParser(interpolation=None)
    service.read(FOLDER / "kdsspark.service")
    assert service["Service"]["Type"] == "oneshot"


def test_the_dag_submits_a_job_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow, submits = MagicMock(), MagicMock()
    monkeypatch.setitem(sys.modules, "airflow", airflow)
    name = "airflow.providers.apache.spark.operators.spark_submit"
    monkeypatch.setitem(sys.modules, name, submits)
    runpy.run_path(str(FOLDER / "airflow_dag.py"))
    assert airflow.DAG.call_args.kwargs["max_active_runs"] == 1
    given = submits.SparkSubmitOperator.call_args.kwargs
    job = Path(given["application"]).relative_to("/opt/kdsspark")
    assert (ROOT / job).is_file()
    assert _parser().parse_args([job.stem, *given["application_args"]]).command == "run"


def test_the_cron_job_is_valid_yaml_and_shell() -> None:
    job = yaml.safe_load((FOLDER / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # which a policy for failures requires
    (driver,) = pod["containers"]
    (rule,) = job["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == driver["name"]
    (script,) = driver["args"]
    subprocess.run(["sh", "-n", "-c", script], check=True)
    (arguments,) = commands(script)
    assert _parser().parse_args(arguments).metrics == "/tmp/kdsspark.prom"
