"""Embeddings made elsewhere: Parquet files with labels, and values as lists or ``.npy`` arrays.

A layer is a column of fixed-length lists (:mod:`readymade_parquet`), or a set of arrays beside the
Parquet files (:mod:`readymade_npy`); the positions in a list are the units. The label is a column,
or a Hive-style folder ``label=...`` as Spark's ``partitionBy`` writes. A row has the name in its
column ``image_id``, else its Parquet file and position as a name; errors count rows from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from kdsspark.config import EmbeddingsDataset
from kdsspark.datasets import readymade_npy as npy
from kdsspark.datasets import readymade_parquet as columns
from kdsspark.datasets.left_out import HIDDEN, LeftOut, summary
from kdsspark.datasets.listing import BATCH, LISTING, Root, is_text, refuse_repeated
from kdsspark.errors import DatasetError
from kdsspark.output.filesystems import file_version

_PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True)
class Source:
    """One ready-made dataset: its Parquet files, and the width and element type of each layer.

    ``prefixes``: layer -> prefix of its arrays (see :mod:`readymade_npy`); empty for lists.
    """

    dataset: EmbeddingsDataset
    files: tuple[str, ...]
    widths: dict[str, int]
    value_types: dict[str, pa.DataType]
    prefixes: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Root:
        """The folder of the files, or the only file."""
        return Root.at(self.dataset.embeddings)

    def arrays(self, path: str) -> dict[str, str]:
        """Layer -> the array that belongs to one of ``files``."""
        return {name: npy.array_path(prefix, path) for name, prefix in self.prefixes.items()}

    def version(self, path: str) -> str:
        """The state of one of ``files``, and of the arrays that belong to it."""
        fs = self.root.fs
        return " ".join(file_version(fs, p) for p in (path, *self.arrays(path).values()))

    def where(self, path: str, column: str | None = None) -> str:
        """The beginning of errors."""
        where = f"dataset {self.dataset.name}: {path}"
        return where if column is None else f"{where} column {column}"


def source(dataset: EmbeddingsDataset, left_out: LeftOut | None = None) -> Source:
    """Find the files and their layers (driver), and count other files; raises DatasetError.

    Widths and types are those of the first row. :func:`listing` compares them with all headers and
    schemas, :func:`batches` with all values.
    """
    found = _find(dataset, left_out or LeftOut())
    for path in found.files:
        with _open(found, path) as file:
            if _has_rows(found, file):
                widths, types = _layers(found, path, file)
                return replace(found, widths=widths, value_types=types)
    raise DatasetError(f"dataset {dataset.name}: {', '.join(found.files)} has no rows")


def listing(source: Source) -> Iterator[pa.Table]:
    """The rows of every file, in order, in tables of ``LISTING`` (driver).

    The version of a row is that of its file and of the arrays that belong to it. Raises
    :class:`DatasetError` for files whose layers differ, before any value is read.
    """
    for path in source.files:
        with _open(source, path) as file:
            if _has_rows(source, file):
                _refuse_other_layers(source, path, file)
                yield from _rows(source, path, file)


def batches(source: Source, path: str, rows: int) -> Iterator[dict[str, pa.Array]]:
    """Layer -> list array of one file, at most ``rows`` images at a time (executor).

    Raises :class:`DatasetError` naming file, column and row for lists of another length than the
    first row's and for nulls, and naming the array for whatever :func:`readymade_npy.opened` does.
    """
    with _open(source, path) as file:
        if source.prefixes:
            yield from _from_arrays(source, path, file.metadata.num_rows, rows)
        else:
            _refuse_other_layers(source, path, file)
            yield from _from_lists(source, path, file, rows)


# -- files --------------------------------------------------------------------------------------


def _find(dataset: EmbeddingsDataset, left_out: LeftOut) -> Source:
    """The files of a folder, or one Parquet file whatever its name; no file is opened yet."""
    where = f"dataset {dataset.name}: embeddings {dataset.embeddings}"
    try:
        found_at = Root.at(dataset.embeddings)
        fs, root = found_at.fs, found_at.path
        fs.invalidate_cache()
        single = fs.isfile(root)
        found = sorted(fs.find(root)) if not single and fs.exists(root) else []
        visible = list(_visible(found, root, left_out))
    except (OSError, ValueError, ImportError) as error:
        raise DatasetError(f"{where} cannot be read: {' '.join(str(error).split())}") from error
    if single and not root.endswith(npy.SUFFIX):
        return Source(dataset, (root,), {}, {})
    files = tuple(path for path in visible if path.lower().endswith(_PARQUET))
    arrays = [path for path in visible if path.endswith(npy.SUFFIX)]
    for path in set(visible).difference(files, arrays):
        left_out.add(path)
    if not files:
        others = summary(left_out.groups(())) or "none"
        got = ".npy without Parquet metadata" if arrays or single else others
        raise DatasetError(f"{where} must be a Parquet file or a folder of some, found {got}")
    prefixes = npy.layer_prefixes(f"dataset {dataset.name}", arrays, files) if arrays else {}
    return Source(dataset, files, {}, {}, prefixes)


def _visible(found: Iterable[str], root: str, left_out: LeftOut) -> Iterator[str]:
    """Files whose name below ``root`` does not begin like temporary files of other programs."""
    for path in found:
        if not is_text(path):
            raise ValueError(f"file names must be valid UTF-8, got {path!r}")
        if any(part.startswith((".", "_")) for part in path.removeprefix(root).split("/")):
            left_out.add(path, HIDDEN)
        elif not path.endswith("/"):  # else an object that stands for a folder
            yield path


@contextmanager
def _open(source: Source, path: str) -> Iterator[pq.ParquetFile]:
    try:
        with source.root.fs.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{source.where(path)} is not readable Parquet: {' '.join(str(error).split())}"
        ) from error


def _has_rows(source: Source, file: pq.ParquetFile) -> bool:
    """Whether to read a file. Spark writes files without rows; one that has arrays must be read."""
    return bool(source.prefixes or file.metadata.num_rows)


# -- layers -------------------------------------------------------------------------------------


def _layers(
    source: Source, path: str, file: pq.ParquetFile
) -> tuple[dict[str, int], dict[str, pa.DataType]]:
    """Widths and types of the first file."""
    if source.prefixes:
        with _opened(source, path, file.metadata.num_rows) as arrays:
            widths = {name: array.width for name, array in arrays.items()}
            return widths, {name: array.value_type for name, array in arrays.items()}
    types = columns.layer_types(source.where(path), file.schema_arrow)
    head = next(file.iter_batches(batch_size=1, columns=list(types)))
    return {n: columns.first_width(source.where(path, n), head[n]) for n in types}, types


def _refuse_other_layers(source: Source, path: str, file: pq.ParquetFile) -> None:
    if source.prefixes:
        with _opened(source, path, file.metadata.num_rows):
            return
    types = columns.layer_types(source.where(path), file.schema_arrow)
    columns.refuse_other_types(source.where(path), types, source.value_types)


def _from_lists(
    source: Source, path: str, file: pq.ParquetFile, rows: int
) -> Iterator[dict[str, pa.Array]]:
    layers = [(n, width, source.value_types[n]) for n, width in source.widths.items()]
    first = 0
    for batch in file.iter_batches(batch_size=rows, columns=list(source.widths)):
        yield {
            name: columns.checked(source.where(path, name), batch[name], width, kind, first)
            for name, width, kind in layers
        }
        first += len(batch)


def _from_arrays(source: Source, path: str, total: int, rows: int) -> Iterator[dict[str, pa.Array]]:
    with _opened(source, path, total) as arrays:
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            yield {
                name: columns.as_lists(pa.array(array.read(start, stop).ravel()), array.width)
                for name, array in arrays.items()
            }


@contextmanager
def _opened(source: Source, path: str, rows: int) -> Iterator[dict[str, npy.Array]]:
    """Layer -> open array of one metadata file. Each must have as many ``rows`` as that file."""
    fs = source.root.fs
    with ExitStack() as stack:
        arrays = {
            name: stack.enter_context(npy.opened(fs, array, source.where(array)))
            for name, array in source.arrays(path).items()
        }
        for name, array in arrays.items():
            npy.refuse_other_rows(array, rows, path)
            if source.widths:  # of the first file
                npy.refuse_other_values(array, source.widths[name], source.value_types[name])
        yield arrays


# -- rows ---------------------------------------------------------------------------------------


def _rows(source: Source, path: str, file: pq.ParquetFile) -> Iterator[pa.Table]:
    root, where, label = source.root, source.where(path), source.dataset.label
    below, uri = path.removeprefix(root.path).lstrip("/"), root.uri(path)
    version = source.version(path)
    names = file.schema_arrow.names
    stored = _stored(where, names, label)
    folder = "" if label in stored else columns.folder_label(where, below, label, names)
    first = 0
    for batch in file.iter_batches(batch_size=BATCH, columns=stored):
        texts = {c: columns.texts(source.where(path, c), batch[c], first) for c in stored}
        positions = [f"#{first + i}" for i in range(len(batch))]
        rows = [
            texts.get("image_id", pa.array([below + p for p in positions], pa.string())),
            pa.array([uri + p for p in positions], pa.string()),
            texts.get(label, pa.repeat(pa.scalar(folder, pa.string()), len(batch))),
            pa.repeat(pa.scalar(version, pa.string()), len(batch)),
        ]
        yield pa.Table.from_arrays(rows, schema=LISTING)
        first += len(batch)


def _stored(where: str, found: Sequence[str], label: str) -> list[str]:
    """The columns of a file that hold labels and ids."""
    stored = [column for column in (label, "image_id") if column in found]
    refuse_repeated(where, found, stored)
    return stored
