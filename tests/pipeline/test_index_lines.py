"""What the index stage tells people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.config import Config
from kdsspark.pipeline.study import Study
from tests.archives import put


def test_the_index_stage_prints_a_line_a_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "folder", "a/1.jpg", "b/2.jpg", "b/3.jpg")
    values = pa.array(np.zeros((2, 2)).tolist(), pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"class_name": ["x", "y"], "fc": values}), tmp_path / "e.parquet")
    study = Study(
        Config.model_validate(
            {
                "output": str(tmp_path / "out"),
                "networks": [{"name": "net"}],
                "datasets": [
                    {"name": "mine", "path": str(tmp_path / "folder")},
                    {"name": "made", "embeddings": str(tmp_path / "e.parquet")},
                ],
            }
        )
    )
    study.do("index")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-2:] == [
        "dataset mine: 3 images in 2 classes",
        "dataset made: 2 images in 2 classes",
    ]
