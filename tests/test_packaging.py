"""The wheel, the constraints and the job files: what users and clusters install and start."""

import email
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kdsspark
from kdsspark.stages import RUN, STAGES

ROOT = Path(__file__).parents[1]
JOBS = sorted((ROOT / "jobs").glob("*.py"))


def python(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        **settings,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no build folder is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    for name in ("kdsspark", "jobs", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    built = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(built))
    done = python("-m", "pip", "wheel", *options, str(source))
    assert done.returncode == 0, done.stderr
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--target", str(target))
    done = python("-m", "pip", "install", *options, str(wheel))
    assert done.returncode == 0, done.stderr
    return target


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "kdsspark").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert "kdsspark/py.typed" in expected
    assert any(name.endswith(".html") for name in expected)
    info = f"kdsspark-{kdsspark.__version__}.dist-info/"
    assert {name for name in names if not name.startswith(info)} == expected
    assert any(name.startswith(info) and name.endswith("/LICENSE") for name in names)


def test_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"kdsspark-{kdsspark.__version__}.dist-info"
    fields = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    assert fields["Requires-Python"] == ">=3.11"
    assert "Apache-2.0" in (fields["License-Expression"] or fields["License"])
    extras = {"heif", "hf", "open-clip", "probe", "s3", "sklearn", "test", "timm"}
    assert set(fields.get_all("Provides-Extra", [])) == extras
    needs = {r.name: r for r in map(Requirement, fields.get_all("Requires-Dist", []))}
    assert "3.0.0" not in needs["pandas"].specifier
    assert {version: version in needs["pyspark"].specifier for version in ("4.3.0", "5.0.0")} == {
        "4.3.0": True,
        "5.0.0": False,
    }
    assert "kdsspark = kdsspark.cli:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_installed_wheel_imports_from_where_it_lies(installed: Path, tmp_path: Path) -> None:
    code = "import kdsspark.cli, kdsspark.pipeline; print(kdsspark.__file__)"
    done = python("-c", code, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)})
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed)


@pytest.mark.parametrize("command", [["-m", "kdsspark"], ["bin/kdsspark"]])
def test_installed_commands_start(installed: Path, command: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = python(*command, "--help", cwd=installed, env=environment)
    assert done.returncode == 0, done.stderr
    assert "run" in done.stdout


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    # An exact version of the index: no URL, no local path, no local version (+cpu).
    wrong = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert not wrong
    return {canonicalize_name(name): version for name, version in (x.split("==") for x in lines)}


def requirements(name: str, extras: frozenset[str]) -> list[Requirement]:
    found = map(Requirement, metadata.requires(name) or [])
    return [
        r
        for r in found
        if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]


def test_constraints_pin_everything_the_environment_needs() -> None:
    pinned = pins()
    todo, seen = requirements("kdsspark", frozenset({"test", "s3"})), set()
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"run make constraints: {requirement} is not pinned"
        assert requirement.specifier.contains(pinned[name], prereleases=True), requirement
        if (name, extras := frozenset(requirement.extras)) not in seen:
            seen.add((name, extras))
            todo += requirements(name, extras)
    assert len(seen) > 40  # the walk went below the direct requirements


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_job_is_its_stage_of_the_command_line(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("kdsspark.cli.main", lambda argv: calls.append(argv) or 3)
    monkeypatch.setattr(sys, "argv", [str(job), "--config", "a.yaml", "--set", "a=b"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(job), run_name="__main__")
    assert exit_.value.code == 3
    assert calls == [[job.stem, "--config", "a.yaml", "--set", "a=b"]]
    named = " label-entropy" if job.stem == "experiment" else ""
    assert f".venv/bin/spark-submit jobs/{job.name}{named} --config " in job.read_text()


def test_every_stage_has_a_job() -> None:
    names = {RUN, "experiment", *(stage.name for stage in STAGES)} - {"check"}
    assert {job.stem for job in JOBS} == names


@pytest.mark.cluster
def test_spark_submit_passes_the_exit_code_on(tmp_path: Path) -> None:
    submit = Path(sys.executable).parent / "spark-submit"
    if not submit.exists():
        pytest.skip("spark-submit is not beside this Python")
    done = subprocess.run(
        [submit, ROOT / "jobs/run.py", "--config", "absent.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
    )
    output = done.stdout + done.stderr  # spark-submit sends the program's stderr to its stdout
    assert done.returncode == 2, output
    assert "absent.yaml" in output
    assert "Traceback" not in output
