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
from typing import Any, Final

from kdsspark.config import Config
from tests.cluster.standalone import ROOT, SPARK_HOME, Cluster, environment
from tests.studies import SLOW, command, image_config, write_config

SECONDS: Final = 600  # until something that was started is given up


def study_config(output: Path, images: Path, **sections: Any) -> Config:
    """A study that takes long enough to be disturbed."""
    return image_config(output, {"set": images}, networks=[SLOW], **sections)


def without_log(said: str) -> str:
    """The end of what a job wrote, without Spark's log."""
    return "\n".join(line for line in said.splitlines() if " INFO " not in line)[-4000:]


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
    """A folder that is no checkout; ``conf`` are Spark settings of everything submitted."""

    folder: Path
    env: Mapping[str, str]

    @classmethod
    def made(cls, folder: Path, env: Mapping[str, str] | None = None) -> Workplace:
        """With everything in it; ``env`` is added to that of every process."""
        folder.mkdir(parents=True, exist_ok=True)
        python = _python_without_package(folder / "python")
        shutil.copytree(ROOT / "jobs", folder / "jobs")
        subprocess.run([sys.executable, ROOT / "scripts" / "package", folder], check=True)
        own = {
            "PYTHONPATH": "",
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),  # of drivers, which may be killed
        }
        return cls(folder, own | dict(env or {}))

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
