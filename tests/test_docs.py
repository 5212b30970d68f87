"""What the documentation prints is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from kdsspark import config
from kdsspark.stages import MEASURE, SUMMARIZE

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


def test_the_arrays_of_the_page_about_python_are_measured_as_written() -> None:
    blocks = _blocks(ROOT / "docs" / "python.md", "python")
    measured, piped = (b for b in blocks if "measure(values, labels, sh" in b or "make_pipe" in b)
    names: dict[str, Any] = {}
    exec(measured + piped.replace("cross_val_score(model", "scores = cross_val_score(model"), names)
    best = names["result"].ks.nlargest(1, "ks").iloc[0]
    assert (best["unit"], best["class"]) == (7, "fish")
    assert names["scores"].mean() > 0.5  # of three classes, one is told by its unit


def test_the_page_about_python_names_every_table_of_a_result() -> None:
    written = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    tables = {table.name for stage in (MEASURE, SUMMARIZE) for table in stage.tables}
    assert not {name for name in tables if f"`{name}`" not in written}
