"""What a user of a cluster has: jobs, the package as a zip, an interpreter without the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd

from kdsspark.config import Config
from kdsspark.output.output import Output
from tests.cluster.standalone import ROOT, SPARK_HOME, Cluster, environment
from tests.pipeline.test_runs import assert_same, tables
from tests.studies import SLOW, command, image_config, write_config

SECONDS: Final = 1200  # until something that was started is given up


def study_config(output: Path, images: Path, network: Mapping[str, Any] = SLOW) -> Config:
    """A study that takes long enough to be disturbed."""
    return image_config(output, {"set": images}, networks=[network])


def without_log(said: str) -> str:
    """The end of what a job wrote, without Spark's log."""
    return "\n".join(line for line in said.splitlines() if " INFO " not in line)[-4000:]


def assert_whole(config: Config, expected: dict[str, pd.DataFrame]) -> None:
    """The tables of an undisturbed run, and nothing left over."""
    output = Output.at(config.output)
    assert_same(tables(output), expected)
    assert not list(Path(output.path()).rglob(".tmp-*"))


def run_here(
    config: Config, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """``kdsspark run`` as a user does it, without a cluster, to its end, exit code 0."""
    ended = subprocess.run(
        command(config, folder),
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stderr
    return ended


@dataclass(frozen=True)
class Workplace:
    """A folder that is no checkout; ``added`` is put into the environment of every process."""

    folder: Path
    added: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, folder: Path) -> Workplace:
        """With everything in it."""
        _make_python_without_package(folder / "python")
        shutil.copytree(ROOT / "jobs", folder / "jobs")
        subprocess.run([sys.executable, ROOT / "scripts" / "package", folder], check=True)
        return cls(folder)

    @property
    def env(self) -> dict[str, str]:
        """Of drivers, and of workers that are to run what is submitted here."""
        python = str(self.folder / "python" / "bin" / "python")
        own = {
            "PYTHONPATH": "",
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "SPARK_LOCAL_DIRS": str(self.folder / "scratch"),  # of drivers, which may be killed
        }
        return {**own, **self.added}

    def command(self, cluster: Cluster, job: str) -> list[str]:
        """``spark-submit`` of a job with the configuration ``study.yaml`` of the folder."""
        submit = [SPARK_HOME / "bin" / "spark-submit", "--master", cluster.url]
        package = ["--py-files", self.folder / "kdsspark.zip"]
        job_of = [self.folder / "jobs" / f"{job}.py", "--config", self.folder / "study.yaml"]
        return [os.fspath(part) for part in (*submit, *package, *job_of)]

    def submit(
        self, cluster: Cluster, config: Config, job: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a job to its end, exit code 0."""
        write_config(config, self.folder)
        ended = subprocess.run(
            self.command(cluster, job),
            cwd=self.folder,
            env=environment(self.env),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == 0, f"{job}: {without_log(ended.stdout + ended.stderr)}"
        return ended

    def start(
        self, cluster: Cluster, config: Config, job: str, log: Path
    ) -> subprocess.Popen[bytes]:
        """Start a job in a session of its own, to be disturbed."""
        write_config(config, self.folder)
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(cluster, job),
                cwd=self.folder,
                env=environment(self.env),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def _make_python_without_package(folder: Path) -> None:
    """An interpreter that has what this one has, except for packages installed as editable.

    Folders named in a .pth file are searched, and the .pth files in them are not read.
    """
    venv.create(folder, symlinks=True)
    inside = {"base": str(folder), "platbase": str(folder)}
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    pth = Path(sysconfig.get_path("purelib", vars=inside)) / "dependencies.pth"
    pth.write_text("".join(f"{path}\n" for path in sorted(paths)))
    found = subprocess.run(
        [folder / "bin" / "python", "-c", "import torch, pyspark, kdsspark"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'kdsspark'" in found.stderr, found.stderr
