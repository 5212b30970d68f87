"""Files that hold many images each (tar shards, Parquet files), and the splits in their names."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from kdsspark.config import ImageDataset
from kdsspark.datasets.left_out import LeftOut, summary
from kdsspark.datasets.listing import Root, chosen, walk
from kdsspark.errors import ConfigError
from kdsspark.output.filesystems import file_version

_SPLITS: Final = ("train", "training", "validation", "valid", "val", "dev", "test", "testing")


class Container(NamedTuple):
    """One file of images."""

    path: str
    below: str  # below the dataset's root; its name, where it is the whole dataset
    uri: str
    version: str


def containers(
    dataset: ImageDataset, root: Root, suffixes: tuple[str, ...], left_out: LeftOut
) -> list[Container]:
    """The file at ``root``, or all files below it, sorted; only those of the dataset's split.

    A split is a word of the file's name or folders: ``data/train-00000-of-00010.parquet``.
    Raises ConfigError where there is none.
    """
    if root.fs.isfile(root.path) and root.path.lower().endswith(suffixes):
        version = file_version(root.fs, root.path)
        name = posixpath.basename(root.path)
        found = [Container(root.path, name, root.uri(root.path), version)]
    else:
        files = walk(root.fs, root.path, left_out) if root.fs.isdir(root.path) else ()
        entries = chosen(files, suffixes, left_out)
        found = [
            Container(e.path, root.below(e.path), root.uri(e.path), e.version) for e in entries
        ]
    if not found:
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a {suffixes[0]} file or a folder of some, "
            f"got {root.url}{_with(left_out)}"
        )
    return sorted(_of_split(dataset, found, left_out))


def _with(left_out: LeftOut) -> str:
    """`` with 3 .tar.gz (compressed)``; empty where a folder has no files."""
    found = summary(left_out.groups(()))
    return f" with {found}" if found else ""


def _of_split(
    dataset: ImageDataset, found: Sequence[Container], left_out: LeftOut
) -> list[Container]:
    if dataset.split is None:
        return list(found)
    wanted = [c for c in found if _names(c, dataset.split)]
    if not wanted:
        splits = [s for s in _SPLITS if any(_names(c, s) for c in found)]
        raise ConfigError(
            f"datasets.{dataset.name}.split: must be a word of file names, which have "
            f"{', '.join(splits) or 'no splits'}, got {dataset.split!r}"
        )
    for container in set(found).difference(wanted):
        left_out.add(container.below, "not in this split")
    return wanted


def _names(container: Container, split: str) -> bool:
    """Whether ``split`` is in the path, with no letter right before or after it."""
    pattern = rf"(?<![a-z]){re.escape(split.lower())}(?![a-z])"
    return re.search(pattern, container.below.lower()) is not None
