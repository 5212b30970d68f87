"""Layout ``folder``: the class is the first folder, as in torchvision's ImageFolder."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import pyarrow as pa

from kdsspark.config import ImageDataset
from kdsspark.datasets.left_out import BROKEN_LINK, LeftOut, ending
from kdsspark.datasets.listing import Entry, Root, Row, chosen, entries, tables, walk
from kdsspark.errors import ConfigError, DatasetError
from kdsspark.images.decoding import image_suffixes

_OUTSIDE = "in no class folder"


def read(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[pa.Table]:
    """Images at any depth below the class folders of ``root``, as a stream.

    Raises DatasetError where an empty part of a key stands in the place of a class.
    """
    if not root.fs.isdir(root.path):
        raise ConfigError(
            f"datasets.{dataset.name}.path: must be a folder of class folders, got {root.url}"
        )
    yield from tables(_rows(dataset, root, left_out))


def _rows(dataset: ImageDataset, root: Root, left_out: LeftOut) -> Iterator[Row]:
    suffixes = image_suffixes()
    for folder in sorted(_class_folders(root, left_out)):
        class_name = posixpath.basename(folder)
        if not class_name:
            raise DatasetError(
                f"dataset {dataset.name}: keys must have a class folder right below "
                f"{root.url}, got {root.uri(folder)}/"
            )
        here, taken = LeftOut(), 0
        for entry in chosen(walk(root.fs, folder, here), suffixes, here):
            taken += 1
            yield root.below(entry.path), root.uri(entry.path), class_name, entry.version
        (left_out.counts if taken else left_out.of_class(class_name)).update(here.counts)


def _class_folders(root: Root, left_out: LeftOut) -> Iterator[str]:
    """Folders right below the root. What else lies there is left out."""
    for entry in entries(root.fs, root.path, left_out):
        if entry.is_folder:
            yield entry.path
        elif _was_a_folder(entry):
            left_out.add(entry.path, BROKEN_LINK, posixpath.basename(entry.path))
        else:
            left_out.add(entry.path, _OUTSIDE)


def _was_a_folder(entry: Entry) -> bool:
    """Whether it is a link that leads nowhere, perhaps to a disk that is not mounted."""
    return not entry.version and not ending(entry.path)
