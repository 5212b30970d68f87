"""Layout ``folder``: the class is the first folder, as in torchvision's ImageFolder."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import pyarrow as pa

from kdsspark.config import Dataset
from kdsspark.datasets.listing import Root, Row, entries, tables, walk
from kdsspark.errors import ConfigError
from kdsspark.images.decoding import IMAGE_SUFFIXES


def read(dataset: Dataset, root: Root) -> Iterator[pa.Table]:
    """Images at any depth below the class folders of ``root``, as a stream."""
    if not root.fs.isdir(root.path):
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a folder of class folders, got {root.url}"
        )
    yield from tables(_rows(root))


def _rows(root: Root) -> Iterator[Row]:
    for folder in sorted(e.path for e in entries(root.fs, root.path) if e.is_folder):
        class_name = posixpath.basename(folder)
        for entry in walk(root.fs, folder, IMAGE_SUFFIXES):
            yield root.below(entry.path), root.uri(entry.path), class_name, entry.version
