"""Ready-made embeddings that are rewritten between two stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kdsspark import config
from kdsspark.errors import DatasetError
from kdsspark.storage import parquet
from kdsspark.tables import EMBEDDINGS
from tests.studies import run, write_embeddings

pytestmark = pytest.mark.usefixtures("spark")


@pytest.mark.parametrize(("n_rows", "told"), [(6, "got 6"), (12, "got more")])
def test_a_file_with_other_rows_than_indexed_is_refused(
    tmp_path: Path, n_rows: int, told: str
) -> None:
    file = tmp_path / "mine.parquet"

    def write(n: int) -> None:
        values = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
        write_embeddings(file, {"x": values}, (["a", "b", "c"] * 4)[:n])

    write(9)
    datasets = [{"name": "mine", "embeddings": str(file)}]
    study_config = config.parse({"output": str(tmp_path / "out"), "datasets": datasets})
    run(study_config, "index")
    write(n_rows)
    refusal = f"dataset mine: {file} must have 9 rows as when it was indexed, {told}; run the index"
    with pytest.raises(DatasetError, match=refusal):
        run(study_config, "embed")
    write(9)
    study = run(study_config, "index embed measure")
    held = parquet.read(study.store, EMBEDDINGS, columns=["x"])["x"].to_pylist()
    assert held == np.arange(27, dtype=np.float32).reshape(9, 3).tolist()
