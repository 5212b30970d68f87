"""Machines that are not ours: what works by a default, and what is refused in one line."""

from __future__ import annotations

import os
import pwd
import shlex
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyspark
import pytest

from kdsspark.engine.starting import machine
from kdsspark.errors import KdssparkError

PACKAGE = str(Path(pyspark.__file__).parent)


def command(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def jdk(folder: Path, version: str | None) -> Path:
    command(folder / "bin" / "java")
    if version:
        (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH, with bash; no JAVA_HOME."""
    command(tmp_path / "path" / "bash")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "path"


# -- Java ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea", None])
@pytest.mark.parametrize("by", ["JAVA_HOME", "PATH"])
def test_a_new_java_is_taken(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, by: str
) -> None:
    home = jdk(tmp_path / "jdk", version)
    if by == "PATH":
        (path / "java").symlink_to(home / "bin" / "java")
    else:
        monkeypatch.setenv(by, str(home))
    machine.check()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22", "16"])
def test_an_old_java_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    (path / "java").symlink_to(jdk(tmp_path / "new", "17") / "bin" / "java")
    monkeypatch.setenv("JAVA_HOME", str(jdk(tmp_path / "old", version)))
    with pytest.raises(KdssparkError) as caught:
        machine.check()
    assert str(caught.value) == (
        "Java 17 or newer must be in JAVA_HOME or, if that is not set, on PATH, "
        f"got {version} by JAVA_HOME={tmp_path}/old"
    )


@pytest.mark.parametrize("home", [None, "", "/nowhere"])
def test_no_java_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None) -> None:
    if home is not None:
        monkeypatch.setenv("JAVA_HOME", home)
    with pytest.raises(KdssparkError) as caught:
        machine.check()
    where = f"JAVA_HOME={home}" if home else f"PATH={path}"
    assert str(caught.value).endswith(f"got none by {where}")


def test_no_bash_is_one_line(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(jdk(tmp_path / "jdk", "17")))
    (path / "bash").unlink()
    with pytest.raises(KdssparkError, match=f"bash must be on PATH, .* got PATH={path}$"):
        machine.check()


# -- variables -----------------------------------------------------------------------------------


def spark(folder: Path, version: str) -> str:
    command(folder / "bin" / "spark-submit")
    (folder / "jars").mkdir()
    (folder / "jars" / f"spark-core_2.13-{version}.jar").touch()
    return str(folder)


def test_a_spark_of_the_same_version_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = spark(tmp_path, f"{pyspark.__version__}-vendor-1")
    monkeypatch.setenv("SPARK_HOME", home)
    assert machine.variables("local")["SPARK_HOME"] == home


@pytest.mark.parametrize("version", [None, "3.3.0"])
def test_another_spark_is_not_used_and_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    version: str | None,
) -> None:
    home = spark(tmp_path, version) if version else "/opt/spark-3.3"
    monkeypatch.setenv("SPARK_HOME", home)
    assert machine.variables("local")["SPARK_HOME"] == PACKAGE
    assert capsys.readouterr().err == (
        f"kdsspark: SPARK_HOME={home} is not used: it must lead to Spark {pyspark.__version__}\n"
    )


@pytest.mark.parametrize("given", ["/opt/conda/bin/python-gone", "/usr/bin/env"])
def test_workers_on_this_machine_run_this_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", given)
    assert machine.python("local[2]") == sys.executable
    assert f"PYSPARK_PYTHON={given} is not used" in capsys.readouterr().err


def test_workers_elsewhere_run_what_the_user_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", "/on/every/machine/python")
    assert machine.python("spark://host:7077") == "/on/every/machine/python"
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    assert machine.python("local") == sys.executable
    monkeypatch.delenv("PYSPARK_PYTHON")
    assert machine.python("yarn") == sys.executable
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("pyspark-shell", None),
        ("--packages a:b:1 pyspark-shell", None),
        ("--packages a:b:1", "--packages a:b:1 pyspark-shell"),
    ],
)
def test_arguments_of_pyspark_are_completed(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    if given:
        monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", given)
    assert machine.variables("local").get("PYSPARK_SUBMIT_ARGS") == expected


@pytest.mark.parametrize(
    ("encoding", "expected"), [("UTF-8", None), ("utf8", None), ("ANSI_X3.4-1968", "C.UTF-8")]
)
def test_java_reads_file_names_as_python_does(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str | None
) -> None:
    monkeypatch.setattr(machine, "locale", SimpleNamespace(getencoding=lambda: encoding))
    assert machine.variables("local").get("LC_ALL") == expected


def test_only_local_masters_stay_on_the_loopback() -> None:
    assert machine.variables("local[2]")["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert "SPARK_LOCAL_IP" not in machine.variables("spark://host:7077")


# -- users, homes and folders --------------------------------------------------------------------


def no_user(_: int) -> pwd.struct_passwd:
    raise KeyError("getpwuid(): uid not found: 12345")


def test_a_user_without_a_name_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.nameless_user() is None
    monkeypatch.setattr(pwd, "getpwuid", no_user)
    for variable in ("HADOOP_USER_NAME", "USER"):
        monkeypatch.delenv(variable, raising=False)
    assert machine.nameless_user() == f"uid-{os.getuid()}"
    monkeypatch.setenv("USER", "ann")
    assert machine.nameless_user() == "ann"


def test_java_gets_a_home_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "own_folder", lambda: "/tmp/a b")
    monkeypatch.setattr(pwd, "getpwuid", no_user)
    expected = ["-Djava.io.tmpdir=/tmp/a b", "-Duser.home=/tmp/a b"]
    assert shlex.split(machine.java_options()) == expected


@pytest.mark.parametrize("home", [None, "/nowhere"])
def test_matplotlib_gets_a_folder_where_there_is_no_home(
    monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", "")
    monkeypatch.delenv("MPLCONFIGDIR")
    monkeypatch.setattr(pwd, "getpwuid", no_user)
    monkeypatch.setenv("HOME", home or "")
    if home is None:
        monkeypatch.delenv("HOME")
    machine.find_a_home()
    assert os.environ["MPLCONFIGDIR"] == machine.own_folder()


def test_no_temporary_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(machine, "tempfile", SimpleNamespace(gettempdir=none))
    monkeypatch.setenv("TMPDIR", "/small")
    with pytest.raises(KdssparkError, match=r"TMPDIR must be a folder that can be .* got /small: "):
        machine.check_files("out")


@pytest.mark.parametrize("given", ["/", "/nowhere", "relative/nowhere"])
def test_another_temporary_folder_than_the_one_given_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """Python takes the next one where the first is full, missing or read-only."""
    monkeypatch.setattr(machine, "tempfile", SimpleNamespace(gettempdir=lambda: "/tmp"))
    monkeypatch.setenv("TMPDIR", given)
    machine.check_files("out")
    assert capsys.readouterr().err == (
        f"kdsspark: TMPDIR={given} is not used: it must be a folder that can be written; /tmp is\n"
    )
    for same in ("/tmp", "/tmp/", ""):
        monkeypatch.setenv("TMPDIR", same)
        machine.check_files("out")
        assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "encoding", "submitted", "refused"),
    [
        ("/data/été", "ANSI_X3.4-1968", True, True),
        ("/data/été", "UTF-8", True, False),
        ("/data/ete", "ANSI_X3.4-1968", True, False),
        ("/data/été", "ANSI_X3.4-1968", False, False),  # our own JVM gets another locale
    ],
)
def test_spark_submit_needs_a_locale_for_file_names(
    monkeypatch: pytest.MonkeyPatch, output: str, encoding: str, submitted: bool, refused: bool
) -> None:
    monkeypatch.setattr(machine, "locale", SimpleNamespace(getencoding=lambda: encoding))
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    if submitted:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    if not refused:
        machine.check_files(output)
        return
    with pytest.raises(KdssparkError, match=r"LC_ALL must be a locale with UTF-8, .* got C$"):
        machine.check_files(output)


def test_what_is_free_is_told(tmp_path: Path) -> None:
    told = machine.free_space(str(tmp_path))
    assert told.startswith("; free: ")
    assert f" MiB in {tempfile.gettempdir()} (TMPDIR), " in told
    assert told.endswith(f" MiB in {tmp_path} (output)")
    assert "(output)" not in machine.free_space("s3://bucket/out")
