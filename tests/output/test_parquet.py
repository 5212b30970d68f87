"""Parts of tables: written as declared or not at all, read back whole."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from kdsspark.output import parquet
from kdsspark.output.store import Store
from kdsspark.tables import EMBEDDINGS, HISTOGRAMS, IMAGES, RANGES, embeddings_schema

SCHEMA = pa.schema(
    [pa.field("id", pa.int32(), nullable=False), pa.field("x", pa.float64(), nullable=True)]
)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store.at(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def ranges(*units: int) -> pa.Table:
    n = len(units)
    columns = [["fc"] * n, list(units), [0.0] * n, [None] * n, [1] * n, [0] * n]
    return pa.table(dict(zip(RANGES.schema.names, columns, strict=True)), schema=RANGES.schema)


def test_every_table_written_is_a_row_group(store: Store) -> None:
    tables = [pa.table({"id": [1, 2], "x": [0.5, None]}), pa.table({"id": [3], "x": [1.5]})]
    assert parquet.write(store, "part.parquet", iter(tables), SCHEMA) == 3
    with store.fs.open(store.path("part.parquet"), "rb") as raw, pq.ParquetFile(raw) as file:
        assert file.metadata.num_row_groups == 2
        assert file.read_row_group(1).to_pylist() == [{"id": 3, "x": 1.5}]
        assert file.schema_arrow.field("id").type == pa.int32()
        assert not file.schema_arrow.field("id").nullable
    assert parquet.read_file(store, "part.parquet", ["x"]).to_pydict() == {"x": [0.5, None, 1.5]}


def test_a_table_without_rows_is_a_file_with_columns(store: Store) -> None:
    assert parquet.write(store, "part.parquet", SCHEMA.empty_table(), SCHEMA) == 0
    assert parquet.read_file(store, "part.parquet").schema == SCHEMA


def test_columns_are_put_in_order_and_cast() -> None:
    table = pa.table({"x": pa.array([1], pa.float32()), "id": pa.array([7], pa.int64())})
    assert parquet.conform(table, SCHEMA).schema == SCHEMA


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"id": [1]}, "expected columns"),
        ({"id": [1], "x": [1.0], "y": [1]}, "expected columns"),
        ({"id": [1, None], "x": [1.0, 2.0]}, "'id' with null values"),
        ({"id": [2**40], "x": [1.0]}, "not in range"),
        ({"id": ["a"], "x": [1.0]}, "Failed to parse"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    store: Store, table: dict[str, list[object]], words: str
) -> None:
    good = pa.table({"id": [1], "x": [1.0]})
    with pytest.raises(ValueError, match=words) as caught:
        parquet.write(store, "a/part.parquet", [good, pa.table(table)], SCHEMA)
    assert len(str(caught.value).splitlines()) == 1
    assert store.fs.find(store.path()) == []


def test_a_table_is_read_with_its_partition_columns(store: Store) -> None:
    for network, dataset, units in (("a", "x", (0, 1)), ("a", "x.y", (2,)), ("ab", "x", (3,))):
        path = f"{RANGES.partition(network, dataset)}/part.parquet"
        parquet.write(store, path, ranges(*units), RANGES.schema)
    everything = parquet.read(store, RANGES)
    assert everything.column_names == [*RANGES.schema.names, "network", "dataset"]
    found = zip(*(everything[c].to_pylist() for c in ("network", "dataset", "unit")), strict=True)
    assert sorted(found) == [("a", "x", 0), ("a", "x", 1), ("a", "x.y", 2), ("ab", "x", 3)]
    assert sorted(parquet.read(store, RANGES, "a")["unit"].to_pylist()) == [0, 1, 2]
    part = parquet.read(store, RANGES, "a", "x", columns=["dataset", "unit"])
    assert part.to_pydict() == {"dataset": ["x", "x"], "unit": [0, 1]}


def test_a_table_without_files_has_no_rows_but_its_columns(store: Store) -> None:
    empty = parquet.read(store, IMAGES, "x")
    assert empty.column_names == [*IMAGES.schema.names, "dataset"]
    assert len(empty) == 0
    assert parquet.read(store, IMAGES, columns=["uri"]).column_names == ["uri"]


def test_other_programs_do_not_see_unfinished_files(tmp_path: Path) -> None:
    store = Store.at(str(tmp_path))
    parquet.write(store, "ranges/part.parquet", ranges(0), RANGES.schema)
    with parquet.writer(store, "ranges/other.parquet", RANGES.schema) as part:
        part.write(ranges(1))
        assert len(list((tmp_path / "ranges").iterdir())) == 2
        assert pyarrow.dataset.dataset(tmp_path / "ranges").count_rows() == 1
    assert pyarrow.dataset.dataset(tmp_path / "ranges").count_rows() == 2


def test_lists_come_back_and_embeddings_are_stored_plainly(store: Store) -> None:
    counts = pa.table(
        {"layer": ["fc"], "unit": [0], "class_id": [0], "n": [3], "counts": [[1, 0, 2]]}
    )
    parquet.write(store, "h.parquet", counts, HISTOGRAMS.schema)
    assert parquet.read_file(store, "h.parquet")["counts"].to_pylist() == [[1, 0, 2]]
    schema = embeddings_schema(["fc"])
    rows = {c.name: [0 if c.name == "class_id" else "x"] for c in EMBEDDINGS.columns}
    parquet.write(store, "e.parquet", pa.table({**rows, "fc": [[0.5, -1.0]]}), schema)
    with store.fs.open(store.path("e.parquet"), "rb") as raw, pq.ParquetFile(raw) as file:
        values = file.metadata.row_group(0).column(len(rows))
        assert (values.path_in_schema, values.compression) == ("fc.list.element", "UNCOMPRESSED")
        assert "PLAIN" in values.encodings
        assert not any("DICTIONARY" in encoding for encoding in values.encodings)


def test_a_missing_file_is_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        parquet.read_file(store, "nothing.parquet")


def test_rows_are_read_by_group_and_by_range(store: Store) -> None:
    tables = [ranges(*range(start, start + 4)) for start in (0, 4, 8)]
    parquet.write(store, "r.parquet", tables, RANGES.schema)
    for start in range(13):
        for stop in [*range(start, 13), None]:
            groups = list(parquet.row_groups(store, "r.parquet", ["unit"], start, stop))
            found = [unit for group in groups for unit in group["unit"].to_pylist()]
            assert found == list(range(12))[start:stop]
            assert all(len(group) for group in groups)


def test_columns_are_compressed_by_what_they_hold(tmp_path: Path) -> None:
    counts = pa.list_(pa.field("element", pa.int32(), nullable=False))
    kinds = {"name": pa.string(), "number": pa.float64(), "counts": counts}
    values = {"name": ["a"], "number": [0.5], "counts": [[1, 2]]}
    expected = {
        ("name", "number"): ["ZSTD", "LZ4"],
        ("name", "counts"): ["LZ4", "LZ4"],
    }
    for names, codecs in expected.items():
        schema = pa.schema([pa.field(name, kinds[name]) for name in names])
        rows = pa.table({name: values[name] for name in names}, schema=schema)
        parquet.write(Store.at(str(tmp_path)), "file.parquet", rows, schema)
        group = pq.read_metadata(tmp_path / "file.parquet").row_group(0)
        assert [group.column(i).compression for i in range(2)] == codecs
