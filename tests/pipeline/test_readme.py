"""The queries of the README, run as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from kdsspark.output import parquet
from kdsspark.output.output import Output
from kdsspark.tables import KS, THRESHOLDS
from tests.studies import image_config, run_here, write_images

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("objects", "scenes"):
        write_images(folder / name, {"apple": 6, "fish": 5})
    (folder / "scenes" / "fish" / "empty.jpg").touch()
    config = image_config(folder / "out", {n: folder / n for n in ("objects", "scenes")})
    return run_here(config).output


@pytest.fixture(scope="module")
def views(output: Output, spark: SparkSession) -> SparkSession:
    (setup,) = (block for block in _blocks("python") if "createOrReplaceTempView" in block)
    exec(setup.replace("out/demo", output.path()), {})
    return spark


def test_there_are_five_queries() -> None:
    assert len(_blocks("sql")) == 5


@pytest.mark.parametrize("number", range(5))
def test_queries_run_as_written(views: SparkSession, number: int) -> None:
    rows = views.sql(_blocks("sql")[number]).collect()
    assert len(rows) == [2, 10, 4, 8, 1][number]


def test_what_the_queries_say(views: SparkSession, output: Output) -> None:
    thresholds, apple, classes, layers, failures = (views.sql(q).collect() for q in _blocks("sql"))
    ks, found = (parquet.read(output, table).to_pandas() for table in (KS, THRESHOLDS))
    pairs = ks.astype({"dataset": str}).merge(found.astype({"dataset": str}), on="dataset")
    pairs = pairs.assign(
        present=pairs["ks"] > pairs["t_plus"], absent=pairs["ks"] < pairs["t_minus"]
    )
    true = pairs[pairs["labels"] == "true"]

    assert [row["n_images"] for row in thresholds] == [11, 11]
    of = true[(true["dataset"] == "objects") & (true["class_id"] == 0)]
    highest = sorted(of["ks"], reverse=True)[:10]
    assert [row["ks"] for row in apple] == highest
    assert of["ks"].min() < highest[-1]
    counts = true.groupby(["dataset", "class_id"])[["present", "absent"]].sum()
    assert counts.to_numpy().any()
    got = {(row["dataset"], row["class_id"]): (row["present"], row["absent"]) for row in classes}
    assert got == {
        key: tuple(row) for key, row in zip(counts.index, counts.to_numpy(), strict=True)
    }
    beyond = pairs.assign(beyond=pairs["present"] | pairs["absent"])
    kept = beyond.groupby(["dataset", "layer", "labels"], observed=True)["beyond"].mean()
    assert [(row["dataset"], row["layer"], row["labels"]) for row in layers] == list(kept.index)
    assert [row["kept"] for row in layers] == pytest.approx(kept.tolist(), abs=1e-12)
    assert "empty" in failures[0]["message"]
