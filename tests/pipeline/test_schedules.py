"""The examples in conf/schedules are what their programs read, and documented."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "conf" / "schedules"


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


def test_the_dag_compiles_and_submits_a_job_that_is_there() -> None:
    text = (FOLDER / "airflow_dag.py").read_text()
    compile(text, "airflow_dag.py", "exec")
    (call,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "SparkSubmitOperator"
    ]
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    job = ast.literal_eval(given["application"]).removeprefix("/opt/kdsspark/")
    assert (ROOT / job).is_file()


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
    job_file = re.search(r"/opt/kdsspark/(jobs/\S+)", script)
    assert job_file is not None
    assert (ROOT / job_file[1]).is_file()
