"""The queries of the README, run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.studies import image_config, run, write_images

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> SparkSession:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("objects", "scenes"):
        write_images(folder / name, {"apple": 6, "fish": 5})
    (folder / "scenes" / "fish" / "empty.jpg").touch()
    config = image_config(folder / "out", {n: folder / n for n in ("objects", "scenes")})
    run(config)
    (setup,) = (block for block in _blocks("python") if "createOrReplaceTempView" in block)
    exec(setup.replace("out/demo", str(folder / "out")), {})
    return spark


def test_there_are_five_queries() -> None:
    assert len(_blocks("sql")) == 5


@pytest.mark.parametrize("number", range(5))
def test_queries_run_as_written(views: SparkSession, number: int) -> None:
    rows = views.sql(_blocks("sql")[number]).collect()
    assert len(rows) == [2, 10, 4, 8, 1][number]


def test_what_the_queries_say(views: SparkSession) -> None:
    thresholds, apple, classes, layers, failures = (views.sql(q) for q in _blocks("sql"))
    assert thresholds.first()["dataset"] in ("objects", "scenes")
    distances = [row["ks"] for row in apple.collect()]
    assert distances == sorted(distances, reverse=True)
    assert all(row["present"] + row["absent"] <= 320 for row in classes.collect())
    assert all(0 <= row["kept"] <= 1 for row in layers.collect())
    assert "empty" in failures.first()["message"]
