"""What a table and a column are, and what follows from a declaration: schema, folder, file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column: its name, Arrow type and meaning, and whether it may be null."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table under ``<output>/<name>/``.

    ``key`` names the columns that identify a row, partition columns included. A table whose
    columns depend on the network (``embeddings``) has ``open_ended`` set: more columns follow.
    ``file_of`` names the column whose value names the file of a row, where there is one. The rows
    of a table with ``side_by_side`` follow from several networks, which the file's name has all
    (:func:`kdsspark.output.names.side_by_side`); its partition is the first of them.
    """

    name: str
    partitioned_by: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    meaning: str
    open_ended: bool = False
    file_of: str | None = None
    side_by_side: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of one file of this table (without the partition columns)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def partition(self, *values: str) -> str:
        """``("vgg16", "birds")`` -> ``ks/network=vgg16/dataset=birds``, relative to the output.

        A prefix of the partition columns may be given; raises ValueError for too many.
        """
        if len(values) > len(self.partitioned_by):
            raise ValueError(
                f"{self.name} is partitioned by {self.partitioned_by}, got {len(values)} values"
            )
        folders = [f"{k}={v}" for k, v in zip(self.partitioned_by, values, strict=False)]
        return "/".join([self.name, *folders])

    def part(self, name: str, *values: str) -> str:
        """The path of one file, relative to the output; ``values`` as for :meth:`partition`."""
        return f"{self.partition(*values)}/{name}.parquet"


def columns(*declared: tuple[str, pa.DataType, str] | Column) -> tuple[Column, ...]:
    """Columns, and triples of name, type and meaning, which make columns without nulls."""
    return tuple(c if isinstance(c, Column) else Column(*c) for c in declared)


def with_layers(table: Table, layers: Mapping[str, pa.DataType]) -> pa.Schema:
    """The schema of one file of an open-ended table: its columns, then a list column per layer.

    ``layers`` maps each layer, in order, to the type of its elements.
    """
    fields = [
        pa.field(name, pa.list_(pa.field("element", value, nullable=False)), nullable=False)
        for name, value in layers.items()
    ]
    return pa.schema([*table.schema, *fields])
