"""One thing is damaged in the tables of sixteen images that were measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from kdsspark import config
from kdsspark.config import Config
from kdsspark.output import parquet
from kdsspark.output.names import Pair
from kdsspark.output.output import Output
from kdsspark.stages.check import CheckItem
from kdsspark.tables import Table

PAIR, SLICE = Pair("clip", "set"), "layer-000-units-00000-00004"
CLASSES, UNITS, SHUFFLES = 3, 4, 2


def study_config(folder: Path, **measure: Any) -> Config:
    dataset = {"name": "set", "embeddings": str(folder / "set.parquet"), "network": "clip"}
    measured = {"bins": 6, "shuffles": SHUFFLES} | measure
    return config.parse({"output": str(folder / "out"), "datasets": [dataset], "measure": measured})


def only(items: list[CheckItem], kind: type[CheckItem]) -> CheckItem:
    (found,) = (item for item in items if isinstance(item, kind))
    return found


def rewrite(output: Output, path: str, damaged: Callable[[pa.Table], pa.Table]) -> None:
    rows = parquet.read_file(output, path)
    changed = damaged(rows)
    assert changed != rows
    parquet.write(output, path, changed, rows.schema)


def one_file(output: Output, table: Table) -> str:
    values = PAIR[-len(table.partitioned_by) :]  # `images` only by dataset
    (path,) = output.files(table.partition(*values))
    return path


Damage = Callable[[pa.Table], pa.Table]


def change(column: str, row: int, value: Any) -> Damage:
    def damaged(rows: pa.Table) -> pa.Table:
        values = rows[column].to_pylist()
        values[row] = value
        place = rows.schema.get_field_index(column)
        return rows.set_column(place, column, pa.array(values, rows.schema.field(column).type))

    return damaged


def more(column: str, row: int, by: int) -> Damage:
    return lambda rows: change(column, row, rows[column][row].as_py() + by)(rows)


def move(column: str, first: int, second: int) -> Damage:
    """One less in a row, one more in another."""
    return lambda rows: more(column, first, -1)(more(column, second, 1)(rows))


def all_in_one_bin(rows: pa.Table) -> pa.Table:
    """Every image of unit 0 and class 0 in the last bin: the sum stays, the distance does not."""
    return change("counts", 0, [0, 0, 0, 0, 0, sum(rows["counts"][0].as_py())])(rows)


def lose(first: int, n: int) -> Damage:
    return lambda rows: pa.concat_tables([rows.slice(0, first), rows.slice(first + n)])


def twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows])


def rename_units(rows: pa.Table, names: dict[int, int]) -> pa.Table:
    units = pa.array([names.get(unit, unit) for unit in rows["unit"].to_pylist()], pa.int32())
    return rows.set_column(rows.schema.get_field_index("unit"), "unit", units)


def damage(output: Output, table: Table, labels: str, damaged: Damage) -> None:
    path = table.part(SLICE, *PAIR, *([labels] if labels else []))
    rewrite(output, path, damaged)
