"""The commands, as a user meets them: exit codes, one-line mistakes, what is printed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdsspark.cli import main
from tests.studies import NETWORK, write_images

ROOT = Path(__file__).parents[1]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A configuration file of a small study, with one broken image among its thirteen."""
    write_images(tmp_path / "images", {"a": 7, "<b>": 5})
    (tmp_path / "images" / "a" / "broken.png").write_bytes(b"")
    raw: dict[str, Any] = {
        "output": str(tmp_path / "out"),
        "networks": [NETWORK],
        "datasets": [{"name": "set", "path": str(tmp_path / "images")}],
        "embed": {"max_failures": 0.5},
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


@pytest.mark.cluster
@pytest.mark.usefixtures("spark")
def test_run_prints_a_table_and_writes_a_report(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(study)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["network", "dataset", "images", "failed", "t+", "t-"]
    assert printed[1].split()[:4] == ["tiny", "set", "13", "1"]
    page = study.parent / "out" / "report" / "index.html"
    assert printed[-1] == f"report: {page}"
    html = page.read_text()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert {p.suffix for p in page.parent.rglob("figure*.*")} == {".svg", ".png", ".csv"}
    (lock,) = (study.parent / "out" / "_lock").glob("*.json")
    assert json.loads(lock.read_text())["released"] is True


@pytest.mark.cluster
@pytest.mark.usefixtures("spark")
def test_look_draws_one_more_unit(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(study)]) == 0
    capsys.readouterr()
    assert main(["look", "--config", str(study), "--unit", "tiny", "fire4", "255"]) == 0
    (looked,) = capsys.readouterr().out.splitlines()
    assert looked == str(study.parent / "out/report/units/tiny/fire4/255.html")
    assert "fire4-255-projected.webp" in Path(looked).read_text()


def test_look_refuses_what_there_is_not(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "--config", str(study)]) == 0
    capsys.readouterr()
    assert main(["look", "--config", str(study), "--class", "set", "c"]) == 2
    assert capsys.readouterr().err.endswith("no class of set is 'c', one of <b>, a\n")


@pytest.mark.cluster
@pytest.mark.usefixtures("spark")
def test_stages_one_by_one_do_what_run_does(study: Path) -> None:
    for stage in ("index", "embed", "measure", "summarize", "report"):
        assert main([stage, "--config", str(study)]) == 0
    assert (study.parent / "out" / "report" / "index.html").exists()


@pytest.mark.usefixtures("spark", "short_report")
@pytest.mark.cluster
def test_too_many_failures_finish_with_code_3(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(study), "--set", "embed.max_failures=0.01"]) == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == (
        "kdsspark: dataset set: 1 of 13 images failed by network tiny, embed.max_failures "
        "allows 1.0%; the table failures says why"
    )
    assert (study.parent / "out" / "report" / "index.html").exists()


@pytest.mark.cluster
@pytest.mark.usefixtures("spark")
def test_failures_are_tried_again_when_asked(
    study: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tried = "embed: 1 images in"
    assert main(["run", "--config", str(study)]) == 0
    assert main(["run", "--config", str(study)]) == 0
    assert tried not in capfd.readouterr().err
    for stage in ("embed", "run"):
        assert main([stage, "--config", str(study), "--retry-failures"]) == 0
        assert tried in capfd.readouterr().err
    with pytest.raises(SystemExit):
        main(["measure", "--config", str(study), "--retry-failures"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "measure.bins=1"], "measure.bins: must be greater than or equal to 2, got 1"),
        (["--set", "measures=1"], "measures: unknown key"),
        (["--set", "networks.0.pooling=sum"], "networks.0.pooling: must be 'mean' or 'max'"),
        (["--set", "networks.3.pooling=max"], "must be a position from 0 to 0, got '3'"),
        (["--set", "exemplars.dataset=x"], "exemplars.dataset must be null or the name of a data"),
        (["--set", "exemplars=true"], "exemplars: must be a mapping of keys or false, got True"),
        (["--set", "output"], "--set must be KEY=VALUE, got 'output'"),
        (["--config", "absent.yaml"], "--config must name a readable file, got absent.yaml"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    study: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(study), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("networks.0.architecture", "vgg61", "vgg61"),
        ("networks.0.layers", "{x: features.99}", "features.99"),
        ("networks.0.weights", "/nowhere/w.safetensors", "/nowhere/w.safetensors"),
        ("networks.0.weights", "nowhere://w.safetensors", "nowhere://w.safetensors"),
        ("datasets.0.path", "/nowhere", "/nowhere"),
        ("datasets.0.path", "nowhere://images", "nowhere://images"),
        ("datasets.0", "{name: set, path: /nowhere.csv, layout: manifest}", "/nowhere.csv"),
        ("datasets.0", "{name: set, path: /nowhere, layout: webdataset}", "/nowhere"),
        ("datasets.0", "{name: set, path: /nowhere, layout: huggingface}", "/nowhere"),
        ("datasets.0", "{name: set, path: /nowhere, layout: cub200}", "/nowhere"),
        ("datasets.0", "{name: set, embeddings: /nowhere.parquet}", "/nowhere.parquet"),
        ("datasets.0", "{name: set, embeddings: 'nowhere://e'}", "nowhere://e"),
        ("output", "nowhere://out", "nowhere://out"),
    ],
)
def test_what_cannot_be_found_is_named(
    study: Path, key: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--config", str(study), "--set", f"{key}={value}"]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if "kdsspark:" in line]
    assert len(error) == 1
    assert message in error[0]
    assert "Traceback" not in error[0]


@pytest.mark.usefixtures("spark")
def test_other_definition_is_code_2_and_fresh_starts_anew(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["embed", "--config", str(study)]
    main(["index", "--config", str(study)])
    assert main(command) == 0
    assert main([*command, "--set", "networks.0.pooling=max"]) == 2
    assert "pooling was 'mean' and is now 'max'" in capsys.readouterr().err
    assert main([*command, "--set", "networks.0.pooling=max", "--fresh"]) == 0


@pytest.mark.cluster
def test_spark_submit_from_another_directory(study: Path, tmp_path: Path) -> None:
    """What spark-submit sets wins, and the workers run the interpreter of the driver."""
    submit = Path(sys.executable).with_name("spark-submit")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK", "PYSPARK"))}
    environment["PYSPARK_DRIVER_PYTHON"] = sys.executable
    done = subprocess.run(
        [submit, "--master", "local[2]", ROOT / "jobs" / "run.py", "--config", study],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "report:" in done.stdout


@pytest.mark.cluster
@pytest.mark.usefixtures("spark")
def test_nothing_new_needs_no_java_and_draws_nothing(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "--config", str(study)]
    assert main(command) == 0
    table = capsys.readouterr().out
    page = study.parent / "out" / "report" / "index.html"
    drawn = page.stat().st_mtime_ns

    def run_without_java() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kdsspark", *command],
            env={**os.environ, "JAVA_HOME": str(study.parent / "nowhere")},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run_without_java()
    assert done.returncode == 0, done.stderr
    assert done.stdout == table
    assert page.stat().st_mtime_ns == drawn
    write_images(study.parent / "images", {"a": 8})
    done = run_without_java()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"got none by JAVA_HOME={study.parent}/nowhere")


@pytest.mark.parametrize("command", [["run"], ["sql", "SELECT 1"], ["register", "--catalog", "k"]])
def test_no_temporary_folder_is_one_line_before_spark_starts(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.delenv("TMPDIR", raising=False)
    assert main([*command, "--config", str(study)]) == 1
    assert capsys.readouterr().err == (
        "kdsspark: TMPDIR must be a folder that can be written, got nothing: "
        "No usable temporary directory found in ['/tmp']\n"
    )


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            ["sql", "SELECT 1", "--set", "spark.conf.spark.driver.memory=4x"],
            "spark.conf.spark.driver.memory: must be a value that Spark starts with, got 4x: "
            "Invalid maximum heap size: -Xmx4x",
        ),
        (
            ["index", "--set", "spark.master=loca[2]"],
            "spark.master: must be local, local[N], local[*], spark://HOST:PORT, yarn or "
            "k8s://URL, got 'loca[2]'",
        ),
        pytest.param(
            ["sql", "SELECT 1", "--set", "spark.conf.spark.local.dir=/dev/null/dir"],
            "spark.conf.spark.local.dir: must be a value that Spark starts with, got "
            "/dev/null/dir: Failed to create any local dir.",
            marks=pytest.mark.cluster,  # Java starts before it fails
        ),
    ],
)
def test_a_setting_that_spark_does_not_start_with_is_code_2(
    study: Path, command: list[str], line: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kdsspark", *command, "--config", str(study)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == f"kdsspark: {line}\n"
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("form", "shown"), [("table", r"\xe9"), ("csv", "é"), ("json", '{"a":"é"}')]
)
@pytest.mark.usefixtures("spark")
def test_a_terminal_without_utf8_shows_escapes_and_data_stays_as_it_is(
    study: Path, monkeypatch: pytest.MonkeyPatch, form: str, shown: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["sql", "--config", str(study), "--format", form, "SELECT 'é' AS a"]) == 0
    sys.stdout.flush()
    assert shown in written.getvalue().decode().replace(" ", "")
