"""Removing what came from one network, one dataset or both, by what the stages declare (driver).

Receipts go first, so that an interrupted removal leaves none that vouches for lost files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Final

from kdsspark.engine.stage import Stage
from kdsspark.output import definitions, gathered, receipts
from kdsspark.output.definitions import Kind
from kdsspark.output.names import Pair, networks_in, partition_values, stem
from kdsspark.output.output import Output
from kdsspark.stages import EMBED, EVERY
from kdsspark.stages.embed import complete
from kdsspark.tables import DUPLICATES, EMBEDDINGS, FEATURES, IMAGES, Table

_Names = Mapping[str, str]
"""Partition column -> the value whose files go: ``{"network": "vgg16"}``."""

_LAST: Final = (FEATURES, IMAGES)


def remove(output: Output, kind: Kind, name: str) -> None:
    """Remove everything filed under one network or dataset.

    What shows that something is left to remove goes last: ``images`` of a dataset, ``features``
    and the record of a network. So an interrupted removal is not taken for a complete one.
    """
    names: _Names = {kind: name}
    for files in (definitions.receipts_of_pairs(output), output.plan_files()):
        _remove(output, [path for path, pair in files if getattr(pair, kind) == name])
    _take_back_side_by_side(output, names)
    # The next run counts again, for the counts of each dataset are over all datasets.
    _remove(output, output.files(f"{receipts.FOLDER}/{DUPLICATES.name}"))
    for folder in (*(f for stage in EVERY for f in stage.beside), gathered.FOLDER):
        _remove(output, _matching(output, folder, names))
    tables = [table for stage in EVERY for table in stage.tables if table not in _LAST]
    for table in tables:
        _remove(output, _of_table(output, table, names))
    if kind == "dataset":
        _remove_unused_features(output)
    for table in _LAST:
        _remove(output, _of_table(output, table, names))
    if kind == "network" and output.exists(output.network(name)):
        output.remove(output.read_json(output.network(name))["weights"])
        output.remove(output.network(name))


def remove_results(output: Output, pair: Pair) -> None:
    """Remove all that stages after ``embed`` made of a pair, because it has no embeddings now."""
    n_before = EVERY.index(EMBED) + 1
    kept = {complete.KIND, *(stage.name for stage in EVERY[:n_before])}
    for kind in set(output.folders(receipts.FOLDER)) - kept:
        output.receipts(kind).remove_of(pair)
    _take_back_side_by_side(output, pair._asdict())
    for stage in EVERY[n_before:]:
        remove_files(output, stage, pair)


def remove_files(output: Output, stage: Stage, pair: Pair) -> None:
    """Remove all files that one stage made of a pair; its receipts must be gone by then."""
    for folder in stage.beside:
        _remove(output, output.all_files(output.beside(folder, pair)))
    for table in stage.tables:
        _remove(output, _of_table(output, table, pair._asdict()))


def _take_back_side_by_side(output: Output, names: _Names) -> None:
    """Remove the receipts of work that a network has a part in beside the first one."""
    folders = set()
    for stage in EVERY:
        if "network" not in names or not any(table.side_by_side for table in stage.tables):
            continue
        receipts_of_stage = stage.receipts(output)
        for item in receipts_of_stage.all():
            dataset = names.get("dataset", item.pair.dataset)
            if names["network"] in networks_in(item.part) and dataset == item.pair.dataset:
                receipts_of_stage.remove(item)
                folders.add(f"{receipts.FOLDER}/{stage.name}/{item.folder}")
    output.remove_empty(folders)


def _remove_unused_features(output: Output) -> None:
    """Remove the features of networks known by their embeddings only, when these are gone."""
    prepared = output.networks()
    for folder in output.folders(FEATURES.name):
        network = folder.partition("=")[2]
        if network not in prepared and not output.files(EMBEDDINGS.partition(network)):
            _remove(output, output.all_files(FEATURES.partition(network)))


def _of_table(output: Output, table: Table, names: _Names) -> Iterator[str]:
    """The files of a table that hold rows with these values in the columns named."""
    if table.side_by_side:
        return _side_by_side(output, table, names)
    known = [names[column] for column in takewhile(names.__contains__, table.partitioned_by)]
    return _matching(output, table.partition(*known), names, table.file_of)


def _side_by_side(output: Output, table: Table, names: _Names) -> Iterator[str]:
    """The same of a table whose rows follow from several networks."""
    for path in output.all_files(table.name):
        values = partition_values(path)
        of_each = [values | {"network": network} for network in networks_in(stem(path))]
        if any(names.items() <= own.items() for own in [values, *of_each]):
            yield path


def _matching(
    output: Output, folder: str, names: _Names, file_of: str | None = None
) -> Iterator[str]:
    for path in output.all_files(folder):
        values = partition_values(path) | ({file_of: stem(path)} if file_of else {})
        if names.items() <= values.items():
            yield path


def _remove(output: Output, paths: Iterable[str]) -> None:
    """Remove files, and the folders that are empty then."""
    folders = set()
    for path in list(paths):
        output.remove(path)
        folders.add(posixpath.dirname(path))
    output.remove_empty(folders)
