"""Imports point one way: the contracts of pyproject.toml hold, and each can be broken."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# For every contract, one import it forbids: (file to append to, line).
VIOLATIONS = {
    "imports point one way": ("kdsspark/errors.py", "import kdsspark.cli"),
    "only kdsspark.engine and kdsspark.query import pyspark": (
        "kdsspark/output/__init__.py",
        "import pyspark.sql",
    ),
    "only kdsspark.network imports torch": ("kdsspark/engine/__init__.py", "import torch.nn"),
    "the extras with networks are imported when they are first asked for": (
        "kdsspark/network/weights.py",
        "import timm",
    ),
    "stats is arithmetic: no files, no tables, no plots": (
        "kdsspark/stats/__init__.py",
        "import pyarrow",
    ),
    "arrays are measured without Spark and torch": (
        "kdsspark/stages/measure/parts.py",
        "import kdsspark.engine.fold",
    ),
}


def lint(folder: Path) -> tuple[int, str]:
    # By its entry point: the console script may not be on PATH.
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.returncode, done.stdout + done.stderr


def broken(output: str) -> set[str]:
    return set(re.findall(r"^(.+) BROKEN", output, re.MULTILINE))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "kdsspark", tmp_path / "kdsspark", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_every_contract(copy: Path) -> None:
    code, output = lint(copy)
    assert (code, broken(output)) == (0, set()), output
    for name in VIOLATIONS:
        assert f"{name} KEPT" in output


def test_one_forbidden_import_breaks_each_contract(copy: Path) -> None:
    for path, line in VIOLATIONS.values():
        with (copy / path).open("a") as file:
            file.write(f"\n{line}\n")
    code, output = lint(copy)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert broken(output) == {contract["name"] for contract in settings["contracts"]}, output
    assert code == 1


def test_siblings_do_not_import_each_other(copy: Path) -> None:
    with (copy / "kdsspark/stats/__init__.py").open("a") as file:
        file.write("\nimport kdsspark.network\n")
    code, output = lint(copy)
    assert broken(output) == {"imports point one way"}, output
    assert code == 1


def test_a_module_without_a_layer_is_refused(copy: Path) -> None:
    (copy / "kdsspark/stray.py").write_text('"""In no layer."""\n')
    code, output = lint(copy)
    assert code == 1, output
    assert "stray" in output


def test_the_driver_starts_without_torch() -> None:
    """Torch takes seconds and half a GiB, and only what prepares or runs a network needs it."""
    code = (
        "import importlib, sys, kdsspark.cli, kdsspark.pipeline.study\n"
        "from kdsspark.stages import STAGES\n"
        "[importlib.import_module(stage.module) for stage in STAGES if stage.scope != 'study']\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "kdsspark.stages.embed.shard_task" in imported
    assert not imported & {"torch", "torchvision", "sklearn"}
