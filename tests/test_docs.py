"""What the documentation prints is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from kdsspark import config

ROOT = Path(__file__).parents[1]


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_tables_are_documented_as_declared() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tables-doc"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert (ROOT / "docs" / "tables.md").read_text(encoding="utf-8") == printed.stdout


def test_documented_defaults_are_the_defaults() -> None:
    written = yaml.safe_load(_blocks(ROOT / "docs" / "configuration.md", "yaml")[0])
    least = {
        "output": written["output"],
        "networks": [{"name": "vgg16"}],
        "datasets": [{"name": "flowers102", "path": "/data/flowers"}],
    }
    assert config.parse(written) == config.parse(least)


def test_the_configuration_of_the_readme_is_valid() -> None:
    (written,) = _blocks(ROOT / "README.md", "yaml")
    assert config.parse(yaml.safe_load(written)).networks[0].weights == "IMAGENET1K_V1"


def test_every_configuration_in_conf_is_valid() -> None:
    found = sorted((ROOT / "conf").glob("*.yaml"))
    assert found
    for path in found:
        config.load(str(path))
