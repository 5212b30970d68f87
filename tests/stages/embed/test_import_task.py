"""Ready-made embeddings that are rewritten between two stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.errors import DatasetError
from kdsspark.output import parquet
from kdsspark.tables import EMBEDDINGS
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")


@pytest.mark.parametrize("n_rows", [6, 9, 12])
def test_a_file_that_is_not_as_it_was_indexed_is_refused(tmp_path: Path, n_rows: int) -> None:
    file = tmp_path / "mine.parquet"

    def write(n: int, start: int = 0) -> None:
        values = np.arange(start, start + 3 * n, dtype=np.float32).reshape(n, 3)
        write_embeddings(file, {"x": values}, (["a", "b", "c"] * 4)[:n])

    write(9)
    datasets = [{"name": "mine", "embeddings": str(file)}]
    study_config = config.parse({"output": str(tmp_path / "out"), "datasets": datasets})
    run(study_config, "index")
    write(n_rows, start=1)
    with pytest.raises(DatasetError, match=f"dataset mine: {file} must be as it was indexed"):
        run(study_config, "embed")
    write(9)
    study = run(study_config, "index embed measure")
    held = parquet.read(study.store, EMBEDDINGS, columns=["x"])["x"].to_pylist()
    assert held == np.arange(27, dtype=np.float32).reshape(9, 3).tolist()
