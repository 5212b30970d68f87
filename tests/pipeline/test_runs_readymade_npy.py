"""Arrays of CLIP tools, and what Spark writes with partitionBy, through kdsspark's own stages."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from kdsspark import config
from kdsspark.cli import main
from kdsspark.config import Config
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.stages import EMBED
from kdsspark.tables import EMBEDDINGS, HISTOGRAMS, IMAGES, KS
from tests import reference
from tests.studies import run_here, write_embeddings

PARTS = (9, 6)
WIDTHS = {"img_emb": 4, "text_emb": 3}
CLASSES = ["cat", "dog", "a / b"]


def write_part(root: Path, part: int, seed: int = 0) -> dict[str, NDArray[np.float16]]:
    """One part of clip-retrieval's output: layer -> [rows, width]."""
    rng = np.random.default_rng([seed, part])
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    labels = pa.table({"class_name": [CLASSES[row % 3] for row in range(PARTS[part])]})
    pq.write_table(labels, root / f"metadata/metadata_{part}.parquet")
    written = {}
    for layer, width in WIDTHS.items():
        written[layer] = rng.normal(size=(PARTS[part], width)).astype(np.float16)
        (root / layer).mkdir(exist_ok=True)
        np.save(root / layer / f"{layer}_{part}.npy", written[layer])
    return written


def study_config(tmp_path: Path, embeddings: Path, label: str = "class_name") -> Config:
    mine = {"name": "mine", "embeddings": str(embeddings), "label": label, "network": "clip"}
    return config.parse({"output": str(tmp_path / "out"), "datasets": [mine]})


def test_arrays_are_measured_like_any_embeddings(tmp_path: Path) -> None:
    parts = [write_part(tmp_path / "clip", part) for part in range(len(PARTS))]
    study = run_here(study_config(tmp_path, tmp_path / "clip"), "index embed measure check")
    labels = np.array([CLASSES[row % 3] for rows in PARTS for row in range(rows)])
    values = np.concatenate([part["text_emb"] for part in parts]).astype(np.float64)
    histograms = parquet.read(study.output, HISTOGRAMS).to_pandas()
    ks = parquet.read(study.output, KS, "clip", "mine", "true").to_pandas()
    assert len(ks) == len(CLASSES) * sum(WIDTHS.values())
    for unit in range(WIDTHS["text_emb"]):
        for class_id, name in enumerate(sorted(CLASSES)):
            pair = f"layer == 'text_emb' and unit == {unit} and class_id == {class_id}"
            x, inner = values[:, unit], labels == name
            counts = [reference.histogram(x[c], x.min(), x.max(), 100) for c in (inner, ~inner)]
            assert histograms.query(pair)["counts"].item().tolist() == counts[0].tolist()
            assert ks.query(pair)["ks"].item() == reference.binned_ks(*counts)[0]


def test_a_changed_array_is_imported_again_and_no_other(tmp_path: Path) -> None:
    parts = [write_part(tmp_path / "clip", part) for part in range(len(PARTS))]
    study = run_here(study_config(tmp_path, tmp_path / "clip"), "index embed")
    before = EMBED.receipts(study.output).all()
    changed = parts[1]["img_emb"] + np.float16(1)
    array = tmp_path / "clip/img_emb/img_emb_1.npy"
    np.save(array, changed)
    os.utime(array, ns=(0, array.stat().st_mtime_ns + 1))
    run_here(study.config, "index embed")
    after = EMBED.receipts(study.output).all()
    assert sum(before[unit].digest != after[unit].digest for unit in after) == 1
    found = parquet.read(study.output, EMBEDDINGS)["img_emb"].to_pylist()
    assert sorted(found) == sorted([*parts[0]["img_emb"].tolist(), *changed.tolist()])


def test_a_broken_array_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_part(tmp_path / "clip", 0)
    array = tmp_path / "clip/img_emb/img_emb_0.npy"
    array.write_bytes(array.read_bytes()[:-1])
    path = tmp_path / "study.yaml"
    path.write_text(study_config(tmp_path, tmp_path / "clip").model_dump_json())
    assert main(["run", "--config", str(path)]) == DatasetError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"kdsspark: dataset mine: {array} must have 200 bytes for 9 x 4 float16, got 199"
    )


def test_folders_that_spark_partitioned_by_label(tmp_path: Path, spark: SparkSession) -> None:
    names = ["b", "a b", "a/b", "c=%d", "é:é", '<q>"*'] * 2
    values = np.random.default_rng(0).normal(size=(len(names), 3)).astype(np.float32)
    write_embeddings(tmp_path / "flat.parquet", {"fc": values}, names)
    frame = spark.read.parquet(str(tmp_path / "flat.parquet"))
    frame.write.partitionBy("class_name").parquet(str(tmp_path / "parted"))
    study = run_here(study_config(tmp_path, tmp_path / "parted"), "index embed")
    images = parquet.read(study.output, IMAGES).to_pandas()
    assert sorted(images["class_name"]) == sorted(names)
    rows = parquet.read(study.output, EMBEDDINGS).to_pylist()
    found = sorted((row["class_name"], row["fc"]) for row in rows)
    assert found == sorted(zip(names, values.tolist(), strict=True))
