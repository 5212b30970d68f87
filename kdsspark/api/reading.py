"""The tables of an output, read from Python (driver)."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from kdsspark.errors import ConfigError
from kdsspark.output import parquet
from kdsspark.output.names import partition_values
from kdsspark.output.store import Store
from kdsspark.stages import STAGE_OF
from kdsspark.tables import TABLES, Table

_FORMATS: Final = ("pandas", "arrow", "spark")


def read(
    output: str | os.PathLike[str],
    table: str,
    /,
    *,
    format: str = "pandas",
    columns: Sequence[str] | None = None,
    session: Any = None,
    **equal: Any,
) -> Any:
    """The rows of a table of an output, partition columns included.

    ``equal`` names columns and the value that rows must have in each, most often partitions:
    ``read("out/demo", "ks", dataset="objects", labels="true")``. Files of other partitions are not
    opened. ``columns`` limits what is read. ``format`` is ``pandas``, ``arrow``
    (:class:`pyarrow.Table`) or ``spark``. Spark reads by ``session``, by default the active one,
    which may be one of Spark Connect; it has to reach the output under the same name.

    Raises ValueError for names that are not known, :class:`kdsspark.errors.ConfigError` for an
    output that does not hold the table.
    """
    declared = _declared(table)
    if format not in _FORMATS:
        raise ValueError(f"format must be one of {', '.join(_FORMATS)}, got {format!r}")
    store = Store.at(os.fspath(output))
    files = _files(store, declared, equal)
    known = [*parquet.schema(store, files[0]).names, *declared.partitioned_by]
    for name in (*equal, *(columns or ())):
        _refuse_unknown("columns", name, known, f" of {table}")
    if format == "spark":
        return _of_spark(session, store, declared, columns or known, equal)
    found = _read(store, declared, files, columns, equal)
    return found.to_pandas() if format == "pandas" else found


def _declared(name: str) -> Table:
    _refuse_unknown("table", name, TABLES, "")
    return TABLES[name]


def _refuse_unknown(what: str, name: str, known: Iterable[str], of: str) -> None:
    names = list(known)
    if name not in names:
        close = difflib.get_close_matches(name, names, 3) or names
        raise ValueError(f"{what} must be one{of} such as {', '.join(close)}, got {name!r}")


def _files(store: Store, table: Table, equal: Mapping[str, Any]) -> list[str]:
    """The files of the wanted partitions; all have the same columns."""
    files = store.files(table.name)
    if not files:
        raise ConfigError(
            f"output {store.url} must hold the table {table.name}, got no file of it: "
            f"the {STAGE_OF[table.name]} stage makes it"
        )
    for column in table.partitioned_by:
        if column in equal:
            values = sorted({partition_values(path)[column] for path in files})
            if equal[column] not in values:
                raise ValueError(
                    f"{column} of {table.name} must be one of {', '.join(values)}, "
                    f"got {equal[column]!r}"
                )
            files = [path for path in files if partition_values(path)[column] == equal[column]]
    networks = (
        sorted({partition_values(path)["network"] for path in files}) if table.open_ended else []
    )
    if len(networks) > 1:
        raise ValueError(
            f"{table.name} must be read by network, because networks have different layers: "
            f"network must be one of {', '.join(networks)}, got none"
        )
    return files


def _read(
    store: Store,
    table: Table,
    files: Sequence[str],
    columns: Sequence[str] | None,
    equal: Mapping[str, Any],
) -> pa.Table:
    dataset = parquet.dataset(store, table, files)
    wanted = [
        pc.field(name) == _scalar(name, value, dataset.schema.field(name).type)
        for name, value in equal.items()
    ]
    return dataset.to_table(
        columns=list(columns) if columns else None,
        filter=reduce(and_, wanted) if wanted else None,
    )


def _scalar(name: str, value: Any, kind: pa.DataType) -> pa.Scalar:
    try:
        return pa.scalar(value, kind)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"{name} must be {kind}, got {value!r}") from error


def _of_spark(
    session: Any,
    store: Store,
    table: Table,
    columns: Sequence[str],
    equal: Mapping[str, Any],
) -> Any:
    from kdsspark.query import frames

    frame = frames.rows(session or frames.active(), store, table)
    for name, value in equal.items():
        frame = frame.where(frames.column(name) == value)
    return frame.select(*map(frames.column, columns))
