"""Files that hold many images each, tar shards and Parquet files, and the splits they name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from kdsspark.config import Dataset
from kdsspark.datasets.listing import Root, walk
from kdsspark.errors import ConfigError
from kdsspark.output.filesystems import file_version

_SPLITS: Final = ("train", "training", "validation", "valid", "val", "dev", "test", "testing")


class Container(NamedTuple):
    """One file of images."""

    path: str
    below: str  # below the dataset's root, or its name if it is all there is
    uri: str
    version: str


def containers(dataset: Dataset, root: Root, suffixes: tuple[str, ...]) -> list[Container]:
    """The file at ``root`` or all below it, sorted, of the dataset's split if it has one.

    A split is a word of the file's name or folders: ``data/train-00000-of-00010.parquet``.
    Raises ConfigError where there is none.
    """
    if root.fs.isfile(root.path) and root.path.lower().endswith(suffixes):
        version = file_version(root.fs, root.path)
        name = posixpath.basename(root.path)
        found = [Container(root.path, name, root.uri(root.path), version)]
    else:
        files = walk(root.fs, root.path, suffixes) if root.fs.isdir(root.path) else ()
        found = [Container(e.path, root.below(e.path), root.uri(e.path), e.version) for e in files]
    if not found:
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a {suffixes[0]} file or a folder of some, "
            f"got {root.url}"
        )
    return sorted(_of_split(dataset, found))


def _of_split(dataset: Dataset, found: Sequence[Container]) -> list[Container]:
    if dataset.split is None:
        return list(found)
    wanted = [c for c in found if _names(c, dataset.split)]
    if not wanted:
        splits = [s for s in _SPLITS if any(_names(c, s) for c in found)]
        raise ConfigError(
            f"datasets.{dataset.name}.split: must be in the names of some files, which tell of "
            f"{', '.join(splits) or 'no splits'}, got {dataset.split!r}"
        )
    return wanted


def _names(container: Container, split: str) -> bool:
    """Whether ``split`` stands in the name with no letter right before or after it."""
    pattern = rf"(?<![a-z]){re.escape(split.lower())}(?![a-z])"
    return re.search(pattern, container.below.lower()) is not None
