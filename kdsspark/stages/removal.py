"""Removing everything that came from one network or one dataset (driver)."""

from __future__ import annotations

from kdsspark.output import definitions, gathered
from kdsspark.output.definitions import Kind
from kdsspark.output.names import stem
from kdsspark.output.output import Output
from kdsspark.stages import STAGES
from kdsspark.tables import IMAGES, Table


def remove(output: Output, kind: Kind, name: str) -> None:
    """Remove everything filed under one network or dataset.

    Receipts go first, and what shows that something is left to remove goes last: ``images`` of a
    dataset, the record of a network. So an interrupted removal is not taken for a complete one.
    """
    for path, pair in definitions.receipts_of_pairs(output):
        if getattr(pair, kind) == name:
            output.remove(path)
    for stage in STAGES:
        for folder in stage.beside:
            _remove_below(output, folder, kind, name)
    _remove_below(output, gathered.FOLDER, kind, name)
    tables = [table for stage in STAGES for table in stage.tables]
    for table in sorted(tables, key=lambda table: table is IMAGES):
        _remove_below(output, table.name, kind, name, table)
    if kind == "network" and output.exists(output.network(name)):
        output.remove(output.read_json(output.network(name))["weights"])
        output.remove(output.network(name))


def _remove_below(
    output: Output, folder: str, kind: Kind, name: str, table: Table | None = None
) -> None:
    for path in output.files(folder):
        by_file = table is not None and table.file_of == kind and stem(path) == name
        if by_file or f"{kind}={name}" in path.split("/")[:-1]:
            output.remove(path)
