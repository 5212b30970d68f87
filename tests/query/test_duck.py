"""DuckDB over the files of an output, also where files are of earlier versions or elsewhere."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.query import duck
from kdsspark.tables import IMAGES, KS

COLUMNS = ["image_id", "uri", "class_id", "class_name"]


def with_images(url: str) -> Store:
    """Two datasets, one of them in two files; their names are hard to read."""
    store = Store.at(url)
    for n, dataset in enumerate(["a b", "a b", "c=d"]):
        rows = {"image_id": [f"{n}"], "uri": ["x"], "class_id": [n], "class_name": ["it's"]}
        nulls = {f.name: pa.nulls(1, f.type) for f in IMAGES.schema if f.name not in rows}
        table = pa.table({**{k: pa.array(v) for k, v in rows.items()}, **nulls})
        schema = pa.schema([f.with_nullable(True) for f in IMAGES.schema])
        table = table.select(schema.names).cast(schema)
        parquet.write(store, IMAGES.part(f"part-{n}", dataset), table, schema)
    return store


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_rows_have_their_partitions(kind: str, tmp_path: Path) -> None:
    store = with_images(f"{tmp_path}/[out]" if kind == "folder" else "memory://duck/out")
    with duck.opened(store, ["classes"]) as database:
        found = duck.query(database, "SELECT * FROM classes ORDER BY class_id")
        named = duck.query(database, "SELECT dataset, uri FROM images WHERE dataset = 'c=d'")
    assert found["dataset"].tolist() == ["a b", "a b", "c=d"]
    assert found["n_images"].tolist() == [1, 1, 1]
    assert named.to_numpy().tolist() == [["c=d", "x"]]


def test_what_a_file_or_table_lacks(tmp_path: Path) -> None:
    """A column that came later is null; a table without files has no rows but its columns."""
    store = with_images(str(tmp_path / "out"))
    path = Path(store.path(KS.part("part-0", "n", "d", "true")))
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"class_id": pa.array([3], KS.schema.field("class_id").type)}), path)
    with duck.opened(store, ["ks", "failures"]) as database:
        (row,) = duck.query(database, "SELECT * FROM ks").to_dict("records")
        failed = duck.query(database, "SELECT * FROM failures")
    assert (row["class_id"], row["network"], row["labels"]) == (3, "n", "true")
    assert row["auc"] is None or row["auc"] != row["auc"]
    assert failed.empty
    assert {"network", "dataset", "image_id"} <= set(failed.columns)


def test_sums_of_integers_have_64_bits(tmp_path: Path) -> None:
    with duck.opened(Store.at(str(tmp_path)), []) as database:
        found = duck.query(database, "SELECT SUM(x) AS n, MAX(x) AS m FROM range(5) AS t(x)")
    assert found.dtypes.astype(str).tolist() == ["int64", "int64"]
    assert found.to_numpy().tolist() == [[10, 4]]
