"""What a user of a cluster has: jobs, the package as a zip, an interpreter without the package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from kdsspark.config import Config
from tests.cluster.standalone import ROOT, SPARK_HOME, Cluster, environment

JOBS: Final = ("index", "embed", "measure", "summarize", "report", "run")


@dataclass(frozen=True)
class Workplace:
    """A folder that is no checkout; ``conf`` are Spark settings of everything submitted."""

    folder: Path
    env: Mapping[str, str]

    @classmethod
    def made(cls, folder: Path, env: Mapping[str, str] | None = None) -> Workplace:
        """With everything in it; ``env`` is added to that of every process."""
        folder.mkdir(parents=True, exist_ok=True)
        python = _python_without_package(folder / "python")
        shutil.copytree(ROOT / "jobs", folder / "jobs")
        _package(folder)
        own = {
            "PYTHONPATH": "",
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
        }
        return cls(folder, own | dict(env or {}))

    def command(self, cluster: Cluster, job: str, *arguments: str) -> list[str]:
        """``spark-submit`` of a job with ``study.yaml``."""
        submit = [SPARK_HOME / "bin" / "spark-submit", "--master", cluster.url]
        package = ["--py-files", self.folder / "kdsspark.zip"]
        job_of = [self.folder / "jobs" / f"{job}.py", "--config", self.folder / "study.yaml"]
        return [os.fspath(part) for part in (*submit, *package, *job_of, *arguments)]

    def configure(self, config: Config) -> None:
        """What the jobs are to do."""
        text = yaml.safe_dump(config.model_dump(mode="json"))
        (self.folder / "study.yaml").write_text(text)

    def submit(
        self, cluster: Cluster, job: str, *arguments: str, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run a job to its end."""
        command = self.command(cluster, job, *arguments)
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment(self.env),
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self, cluster: Cluster, job: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a job in a session of its own, to be disturbed."""
        with log.open("ab") as output:
            return subprocess.Popen(
                self.command(cluster, job),
                cwd=self.folder,
                env=environment(self.env),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )


def _python_without_package(folder: Path) -> Path:
    """An interpreter that has what this one has, except for packages installed as editable.

    Folders named in a .pth file are searched, and the .pth files in them are not read.
    """
    venv.create(folder, symlinks=True)
    inside = {"base": str(folder), "platbase": str(folder)}
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    pth = Path(sysconfig.get_path("purelib", vars=inside)) / "dependencies.pth"
    pth.write_text("".join(f"{path}\n" for path in sorted(paths)))
    python = folder / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import torch, pyspark, kdsspark"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'kdsspark'" in found.stderr, found.stderr
    return python


def _package(folder: Path) -> None:
    """As ``make package`` does."""
    copy = folder / "source"
    tracked = ("kdsspark", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")
    for name in tracked:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy / name)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*wheel, "--wheel-dir", folder, copy], check=True, capture_output=True)
    next(folder.glob("*.whl")).rename(folder / "kdsspark.zip")
    shutil.rmtree(copy)
