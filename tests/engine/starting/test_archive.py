"""The archive of Spark's classes: Java takes many from it, and leaves a wrong one aside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kdsspark.engine.starting import archive

JOB = """
import shlex
import sys
from pathlib import Path
from kdsspark.config import Spark
from kdsspark.engine.starting import archive, session

options = [*archive.java_options(Path(sys.argv[1])), f"-Xlog:class+load:file={sys.argv[2]}"]
conf = {"spark.driver.defaultJavaOptions": shlex.join(options)}
settings = Spark(master="local[1]", conf=conf)
print(session.at_need(settings).sparkContext.parallelize([1, 2], 1).map(str).collect())
"""


def test_without_an_archive_java_is_told_of_none(tmp_path: Path) -> None:
    assert archive.java_options(tmp_path / "spark.jsa") == []


@pytest.mark.parametrize("content", [b"", b"no archive", bytes(1 << 20)])
def test_java_starts_without_a_word_by_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "spark.jsa"
    file.write_bytes(content)
    options = archive.java_options(file)
    assert options[0] == f"-XX:SharedArchiveFile={file}"
    done = subprocess.run(["java", *options, "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "cds" not in done.stdout


@pytest.mark.cluster
def test_most_classes_come_from_the_archive(tmp_path: Path) -> None:
    file, log = tmp_path / "spark.jsa", tmp_path / "classes"
    make = f"from pathlib import Path; {archive.__name__}.make(Path({str(file)!r}))"
    program = [sys.executable, "-c", f"import {archive.__name__}; {make}"]
    subprocess.run(program, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["spark.jsa"]
    done = subprocess.run(
        [sys.executable, "-c", JOB, file, log], check=True, capture_output=True, text=True
    )
    assert done.stdout == "['1', '2']\n"
    classes = log.read_text().splitlines()
    archived = sum("shared objects file (top)" in line for line in classes)
    assert archived > len(classes) / 2 > 2500


@pytest.mark.cluster
def test_an_archive_that_java_has_no_time_to_write_is_not_kept(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path\n"
        f"from {archive.__package__} import archive\n"
        "archive._SECONDS_TO_WRITE = 2\n"  # it takes ten
        f"archive.make(Path({str(tmp_path / 'spark.jsa')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Java must write all of" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
