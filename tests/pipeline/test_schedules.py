"""The examples in conf/schedules are what their programs read, and documented."""

from __future__ import annotations

import configparser
import re
import runpy
import shlex
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

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


class Dag:
    """Airflow's DAG, with the parameters of version 2.4 and later that the example may use."""

    under_way: Dag | None = None

    def __init__(
        self,
        dag_id: str,
        *,
        schedule: str,
        start_date: datetime,
        catchup: bool = True,
        max_active_runs: int = 16,
    ) -> None:
        self.dag_id, self.schedule, self.start_date = dag_id, schedule, start_date
        self.catchup, self.max_active_runs = catchup, max_active_runs
        self.tasks: list[Submit] = []

    def __enter__(self) -> Dag:
        Dag.under_way = self
        return self

    def __exit__(self, *_: object) -> None:
        Dag.under_way = None


class Submit:
    """Airflow's SparkSubmitOperator, in the same way; belongs to the DAG around it."""

    def __init__(
        self,
        *,
        task_id: str,
        application: str,
        application_args: list[str],
        conn_id: str = "spark_default",
        conf: dict[str, str] | None = None,
        retries: int = 0,
        retry_delay: timedelta = timedelta(minutes=5),
        execution_timeout: timedelta | None = None,
    ) -> None:
        self.task_id, self.conn_id, self.conf = task_id, conn_id, conf
        self.application, self.arguments = application, application_args
        self.retries, self.wait, self.timeout = retries, retry_delay, execution_timeout
        assert Dag.under_way
        Dag.under_way.tasks.append(self)


def test_the_dag_submits_a_job_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    submits = "airflow.providers.apache.spark.operators.spark_submit"
    for name, members in (("airflow", {"DAG": Dag}), (submits, {"SparkSubmitOperator": Submit})):
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    dag = runpy.run_path(str(FOLDER / "airflow_dag.py"))["dag"]
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert len(dag.schedule.split()) == 5
    (task,) = dag.tasks
    job = Path(task.application).relative_to("/opt/kdsspark")
    assert (ROOT / job).is_file()
    assert _parser().parse_args([job.stem, *task.arguments]).command == "run"
    assert task.timeout is not None
    assert task.retries * (task.timeout + task.wait) < timedelta(days=2)


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
