"""What follows from the declaration of a table, shown on a small one."""

import pyarrow as pa
import pytest

from kdsspark.tables.table import Column, Table, columns, with_layers

NOTE = Column("note", pa.string(), "what was seen; null for most", nullable=True)
BIRDS = Table(
    "birds",
    ("land", "year"),
    columns(("ring", pa.int32(), "number of its ring"), NOTE),
    ("land", "year", "ring"),
    "ringed birds",
    open_ended=True,
)


def test_a_triple_is_a_column_without_nulls_and_a_column_stays_itself() -> None:
    ring, note = BIRDS.columns
    assert ring == Column("ring", pa.int32(), "number of its ring", nullable=False)
    assert note is NOTE


def test_the_schema_has_the_columns_in_order_and_no_partition_columns() -> None:
    ring = pa.field("ring", pa.int32(), nullable=False)
    assert BIRDS.schema == pa.schema([ring, pa.field("note", pa.string(), nullable=True)])


def test_a_partition_is_a_folder_in_the_manner_of_hive() -> None:
    assert BIRDS.partition() == "birds"
    assert BIRDS.partition("fr") == "birds/land=fr"
    assert BIRDS.partition("fr", "2024") == "birds/land=fr/year=2024"
    with pytest.raises(ValueError, match="got 3 values"):
        BIRDS.partition("fr", "2024", "more")


def test_a_part_is_a_parquet_file_in_a_partition() -> None:
    assert BIRDS.part("p-1", "fr", "2024") == "birds/land=fr/year=2024/p-1.parquet"


def test_layers_follow_the_columns_each_a_list_of_its_own_type() -> None:
    schema = with_layers(BIRDS, {"song": pa.int8(), "colour": pa.float32()})
    assert schema.names == ["ring", "note", "song", "colour"]
    for name, value in (("song", pa.int8()), ("colour", pa.float32())):
        element = pa.field("element", value, nullable=False)
        assert schema.field(name) == pa.field(name, pa.list_(element), nullable=False)
