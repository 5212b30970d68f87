"""Tables of an output as pandas, Arrow and Spark, against pyarrow's own reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import kdsspark
from kdsspark.errors import ConfigError

KEY = ["layer", "unit", "class_id"]


def of_file(output: Path, table: str, **partitions: str) -> pd.DataFrame:
    """The files of one partition, without its partition columns."""
    folders = [f"{name}={value}" for name, value in partitions.items()]
    files = sorted(output.joinpath(table, *folders).glob("*.parquet"))
    assert files
    return pd.concat([pq.ParquetFile(path).read().to_pandas() for path in files])


def by_key(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(KEY, ignore_index=True)


def test_a_partition_as_pandas(output: Path) -> None:
    where = {"network": "clip", "dataset": "birds-clip", "labels": "true"}
    found = kdsspark.read(output, "ks", **where)
    assert found[list(where)].drop_duplicates().to_dict("records") == [where]
    expected = by_key(of_file(output, "ks", **where))
    pd.testing.assert_frame_equal(by_key(found.drop(columns=list(where))), expected)


def test_a_table_as_arrow_has_all_partitions(output: Path) -> None:
    found = kdsspark.read(str(output), "thresholds", format="arrow")
    assert isinstance(found, pa.Table)
    assert set(zip(*(found[c].to_pylist() for c in ("network", "dataset")), strict=True)) == {
        (network, f"{name}-{network}")
        for network in ("clip", "dino")
        for name in ("birds", "fruit")
    }


def test_other_columns_choose_rows_and_columns_are_limited(output: Path) -> None:
    columns = ["layer", "unit", "ks"]
    found = kdsspark.read(
        output,
        "ks",
        dataset="birds-clip",
        labels="true",
        class_id=1,
        layer="text.v2",
        columns=columns,
    )
    where = {"network": "clip", "dataset": "birds-clip", "labels": "true"}
    expected = of_file(output, "ks", **where).query("class_id == 1 and layer == 'text.v2'")
    pd.testing.assert_frame_equal(found, expected[columns].reset_index(drop=True))
    assert len(found) == 2


def test_embeddings_have_the_layers_of_their_network(output: Path) -> None:
    found = kdsspark.read(output, "embeddings", network="dino", format="arrow")
    assert found.num_rows == 48
    assert "cls" in found.column_names
    assert not {"image", "text.v2"} & set(found.column_names)


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ("ks", {"dataset": "fruit-dino", "labels": "shuffled", "class_id": 2}),
        ("embeddings", {"network": "clip", "dataset": "birds-clip"}),
        ("thresholds", {"dataset": "birds-dino"}),
    ],
)
def test_spark_reads_the_same(
    output: Path, spark: SparkSession, table: str, where: dict[str, Any]
) -> None:
    expected = kdsspark.read(output, table, **where)
    found = kdsspark.read(output, table, format="spark", session=spark, **where).toPandas()
    assert len(expected)
    key = [column for column in (*KEY, "image_id") if column in expected]
    if key:
        expected, found = (f.sort_values(key, ignore_index=True) for f in (expected, found))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    active = kdsspark.read(output, table, format="spark", columns=key or ["t_plus"], **where)
    assert active.columns == (key or ["t_plus"])
    assert active.count() == len(expected)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "table": ({"table": "threshold"}, "table must be one such as thresholds.*, got 'threshold'$"),
    "format": ({"format": "polars"}, "format must be one of pandas, arrow, spark, got 'polars'$"),
    "partition": (
        {"dataset": "birds"},
        "dataset of ks must be one of birds-clip, birds-dino, fruit-clip, fruit-dino, got 'birds'$",
    ),
    "partition of another type": ({"labels": True}, "must be one of shuffled, true, got True$"),
    "column": ({"clas_id": 3}, "columns must be one of ks such as class_id.*, got 'clas_id'$"),
    "columns": ({"columns": ["ks", "kss"]}, "columns must be one of ks such as ks.*, got 'kss'$"),
    "value": ({"class_id": "apple"}, "class_id must be int32, got 'apple'$"),
    "networks": (
        {"table": "embeddings"},
        "embeddings must be read by network, .* one of clip, dino, got none$",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_value_error_of_one_line(output: Path, mistake: str) -> None:
    given, message = MISTAKES[mistake]
    given = {"table": "ks"} | given
    with pytest.raises(ValueError, match=message):
        kdsspark.read(output, given.pop("table"), **given)


def test_an_output_without_the_table(output: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hold the table probe, .* the probe stage makes it$"):
        kdsspark.read(output, "probe")
    with pytest.raises(ConfigError, match=f"^output .*{tmp_path.name} must hold the table ks"):
        kdsspark.read(tmp_path, "ks")


def test_only_spark_needs_spark(output: Path) -> None:
    code = (
        "import sys, kdsspark\n"
        f"assert len(kdsspark.read({str(output)!r}, 'ks'))\n"
        "assert not {'pyspark', 'torch'} & set(sys.modules)\n"
        f"try: kdsspark.read({str(output)!r}, 'ks', format='spark')\n"
        "except kdsspark.errors.ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a Spark session must be there to read by Spark, got none\n"
