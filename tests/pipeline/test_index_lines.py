"""What the index stage tells people."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark import config
from kdsspark.output.output import Output
from kdsspark.pipeline import records
from kdsspark.pipeline.study import Study
from kdsspark.stages import index
from tests.archives import put


def test_the_index_stage_prints_a_line_a_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "folder", "a/1.jpg", "b/2.jpg", "b/3.jpg", "b/notes.txt")
    (tmp_path / "folder" / "c").mkdir()
    values = pa.array(np.zeros((2, 2)).tolist(), pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"class_name": ["x", "y"], "fc": values}), tmp_path / "e.parquet")
    study = config.parse(
        {
            "output": str(tmp_path / "out"),
            "networks": [{"name": "net"}],
            "datasets": [
                {"name": "mine", "path": str(tmp_path / "folder")},
                {"name": "made", "embeddings": str(tmp_path / "e.parquet")},
            ],
        }
    )
    Study(study).do("index")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-3:] == [
        "dataset mine: 3 images in 2 classes; left out: 1 .txt",
        "warning: dataset mine: 1 class is left out whole: 'c': empty folder",
        "dataset made: 2 images in 2 classes",
    ]


def test_the_run_record_keeps_what_was_left_out(tmp_path: Path) -> None:
    put(tmp_path / "folder", "a/1.jpg", "a/notes.txt", "b/1.txt")
    study = config.parse(
        {
            "output": str(tmp_path / "out"),
            "networks": [{"name": "net"}],
            "datasets": [
                {"name": "mine", "path": str(tmp_path / "folder")},
                {"name": "never_indexed", "path": str(tmp_path / "folder")},
            ],
        }
    )
    output = Output.at(study.output)
    going = records.Run("index", study)
    with going.stage("index"):
        index.write_index(output, study.datasets[0])
    record = going.ended(0)
    assert record.left_out == [
        {"dataset": "mine", "class_name": name, "ending": ".txt", "reason": "not read", "files": 1}
        for name in (None, "b")
    ]
    records.write(output, record)
    assert records.latest(output) == record


def test_records_of_earlier_versions_left_out_nothing_that_is_known(tmp_path: Path) -> None:
    output = Output.at(str(tmp_path))
    earlier = asdict(records.Run("index").ended(0))
    del earlier["left_out"]
    output.write_json(f"{records.FOLDER}/{earlier['id']}.json", earlier)
    latest = records.latest(output)
    assert latest is not None
    assert latest.left_out == []
